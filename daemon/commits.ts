/**
 * What changed since the last commit, and what waits for it. State in memory runs
 * ahead of the disk; whatever tells the outside about it is an effect that runs
 * after the commit that holds the change. Nothing else in the daemon talks to the
 * store's committer.
 *
 * @module
 */

import type { StagedBlob, Store } from "../storage/store.ts";

/** Something that has an entry in a table and knows how to write it. */
export interface Saveable {
  /** Puts or deletes its entry. */
  save(store: Store): void;
}

type Effect = () => void;

/** Gathers changes and effects for the store's next group. */
export class Commits {
  #store: Store | null = null;
  #onFailed: (error: unknown) => void;
  #dirty = new Set<Saveable>();
  #effects: Effect[] = [];
  /** Whether the open group holds anything. */
  #open = false;
  #isEnded = false;
  /** Effects of the groups that are on their way to the disk, oldest first. */
  #sealed: Effect[][] = [];

  /** @param onFailed Hears of what the store can't do any more; ends the daemon. */
  constructor(onFailed: (error: unknown) => void) {
    this.#onFailed = onFailed;
  }

  /** Something that needs the store failed for good. */
  fail(error: unknown): void {
    this.#onFailed(error);
  }

  /** The store failed: nothing changes and nobody hears of anything any more. */
  end(): void {
    this.#isEnded = true;
    this.#effects = [];
  }

  /** Whether {@link end} was called. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Begins to gather for `store`. */
  attach(store: Store): void {
    this.#store = store;
  }

  /** The store, once it is open. */
  get store(): Store {
    if (this.#store === null) throw new TypeError("The store is not open");
    return this.#store;
  }

  /** `entity` changed: its entry is written with the next group. */
  changed(entity: Saveable): void {
    this.#dirty.add(entity);
    this.#change();
  }

  /** Makes sure that what follows in this turn, `bytes` of it, shares one group. */
  makeRoom(bytes: number): void {
    this.store.makeRoom(bytes);
  }

  /** Appends to a log; see `Store.append`. */
  append(
    log: number,
    count: number,
    meta: Uint8Array,
    body: Uint8Array,
  ): number {
    const base = this.store.append(log, count, meta, body);
    this.#change();
    return base;
  }

  /** Appends a record that lies in parts of its own; see `Store.appendStaged`. */
  appendStaged(log: number, meta: Uint8Array, blob: StagedBlob): number {
    const base = this.store.appendStaged(log, meta, blob);
    this.#change();
    return base;
  }

  /** Gives up what lies below `begin`. */
  trim(log: number, begin: number): void {
    this.store.trim(log, begin);
    this.#change();
  }

  /** A new log. */
  createLog(): number {
    const log = this.store.createLog();
    this.#change();
    return log;
  }

  /** Ends a log with all it has. */
  dropLog(log: number): void {
    this.store.dropLog(log);
    this.#change();
  }

  /** Runs `effect` once everything that changed until now is on disk. */
  whenDone(effect: Effect): void {
    if (this.#isEnded) return;
    if (this.#open) this.#effects.push(effect);
    else if (this.#sealed.length > 0) {
      this.#sealed[this.#sealed.length - 1].push(effect);
    } else effect();
  }

  /** For the store's `onSeal`: writes what changed, gives what is to be done afterwards. */
  seal(): Effect {
    for (const entity of this.#dirty) entity.save(this.store);
    this.#dirty.clear();
    const effects = this.#effects;
    this.#effects = [];
    this.#open = false;
    this.#sealed.push(effects);
    return () => {
      this.#sealed.shift();
      for (const effect of effects) if (!this.#isEnded) effect();
    };
  }

  #change(): void {
    if (this.#isEnded) return;
    this.#open = true;
    this.store.commit();
  }
}
