/**
 * Users that ended here. Of what the broker has not confirmed it is told before a
 * user of the same name is attached again (PROTOCOL 5.9). What it has confirmed is
 * remembered for a while: a broker whose store was replaced by an older one has
 * the user again.
 *
 * @module
 */

import type { Store } from "../../storage/store.ts";
import type { Commits, Saveable } from "../commits.ts";
import { decodeEntry, encodeEntry, TABLE } from "../tables.ts";

/** Confirmed ones that are remembered. */
const DONE_MAX = 1_000;

/** One of them. */
export class Destroy implements Saveable {
  readonly key: number;
  readonly name: string;
  /** The broker's incarnation of it; `null`: the broker never told one. */
  readonly incarnation: Uint8Array | null;
  /** The broker has confirmed it. */
  isDone = false;
  isForgotten = false;
  /** Whether it is remembered once it is confirmed. */
  isKept = true;

  constructor(key: number, name: string, incarnation: Uint8Array | null) {
    this.key = key;
    this.name = name;
    this.incarnation = incarnation;
  }

  /** {@inheritDoc Saveable.save} */
  save(store: Store): void {
    if (this.isForgotten) return store.delete(TABLE.destroys, this.key);
    const entry = [this.name, this.incarnation, this.isDone];
    store.put(TABLE.destroys, this.key, encodeEntry(entry));
  }
}

/** All of them, oldest first. */
export class Destroys {
  #commits: Commits;
  #byKey = new Map<number, Destroy>();
  #nextKey = 1;

  constructor(commits: Commits) {
    this.#commits = commits;
  }

  /** Takes over what was stored. */
  load(entries: Map<number, Uint8Array>): void {
    for (const key of [...entries.keys()].sort((a, b) => a - b)) {
      const [name, incarnation, isDone] = decodeEntry<
        [string, Uint8Array | null, boolean]
      >(entries.get(key)!);
      const destroy = new Destroy(key, name, incarnation?.slice() ?? null);
      destroy.isDone = isDone;
      destroy.isKept = incarnation !== null;
      this.#byKey.set(key, destroy);
      this.#nextKey = key + 1;
    }
  }

  /** One more. */
  add(
    name: string,
    incarnation: Uint8Array | null,
    isNamed: boolean,
  ): Destroy {
    const destroy = new Destroy(this.#nextKey++, name, incarnation);
    // Unnamed ones are many, and end at the broker by themselves.
    destroy.isKept = isNamed && incarnation !== null;
    this.#byKey.set(destroy.key, destroy);
    this.#commits.changed(destroy);
    return destroy;
  }

  /** How many there are. */
  get size(): number {
    return this.#byKey.size;
  }

  /** One by its key. */
  get(key: number): Destroy | undefined {
    return this.#byKey.get(key);
  }

  /** The keys of those that the broker has to be told, oldest first. */
  keys(): number[] {
    return [...this.#byKey.values()].filter((each) => !each.isDone)
      .map((each) => each.key);
  }

  /** The broker has confirmed it. */
  done(key: number): void {
    const destroy = this.#byKey.get(key);
    if (destroy === undefined) return;
    destroy.isDone = true;
    // Without its incarnation it would end whoever has the name by then.
    if (!destroy.isKept) this.#forget(destroy);
    this.#commits.changed(destroy);
    this.#forgetOldest();
  }

  /** The broker may have any of them again. */
  reopen(): void {
    for (const destroy of this.#byKey.values()) {
      if (!destroy.isDone) continue;
      destroy.isDone = false;
      this.#commits.changed(destroy);
    }
  }

  #forgetOldest(): void {
    const done = [...this.#byKey.values()].filter((each) => each.isDone);
    if (done.length <= DONE_MAX) return;
    this.#forget(done[0]);
    this.#commits.changed(done[0]);
  }

  #forget(destroy: Destroy): void {
    destroy.isForgotten = true;
    this.#byKey.delete(destroy.key);
  }
}
