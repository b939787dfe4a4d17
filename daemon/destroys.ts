/**
 * Users that ended here and of which the broker has not been told, or has not
 * confirmed it. Kept on disk, and told before a user of the same name is
 * attached again (PROTOCOL 5.9).
 *
 * @module
 */

import type { Store } from "../storage/store.ts";
import type { Commits, Saveable } from "./commits.ts";
import { decodeEntry, encodeEntry, TABLE } from "./tables.ts";

/** One of them. */
export class Destroy implements Saveable {
  readonly key: number;
  readonly name: string;
  /** The broker's incarnation of it; `null`: the broker never told one. */
  readonly incarnation: Uint8Array | null;
  isDone = false;

  constructor(key: number, name: string, incarnation: Uint8Array | null) {
    this.key = key;
    this.name = name;
    this.incarnation = incarnation;
  }

  /** {@inheritDoc Saveable.save} */
  save(store: Store): void {
    if (this.isDone) store.delete(TABLE.destroys, this.key);
    else {store.put(
        TABLE.destroys,
        this.key,
        encodeEntry([this.name, this.incarnation]),
      );}
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
      const [name, incarnation] = decodeEntry<[string, Uint8Array | null]>(
        entries.get(key)!,
      );
      this.#byKey.set(key, new Destroy(key, name, incarnation));
      this.#nextKey = key + 1;
    }
  }

  /** One more. */
  add(name: string, incarnation: Uint8Array | null): Destroy {
    const destroy = new Destroy(this.#nextKey++, name, incarnation);
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

  /** The keys, oldest first. */
  keys(): number[] {
    return [...this.#byKey.keys()];
  }

  /** The broker has confirmed it. */
  done(key: number): void {
    const destroy = this.#byKey.get(key);
    if (destroy === undefined) return;
    destroy.isDone = true;
    this.#byKey.delete(key);
    this.#commits.changed(destroy);
  }
}
