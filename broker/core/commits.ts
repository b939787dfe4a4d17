/**
 * The bridge between what the core changes at once in memory and what the world
 * may hear of it later: whatever tells the outside waits here until the commit
 * that holds its cause is on disk.
 *
 * ```text
 * operation ─ changed(entity) ─┐            ┌ seal(): entries into the group
 *           ─ append(…) ───────┤ open group ┤
 *           ─ whenDone(effect) ┘            └ on disk: effects, in order
 * ```
 *
 * An operation changes state, appends and queues effects without a pause in
 * between, and ends with `finish()`. The store may close the open group only in
 * `makeRoom` and after `finish`, so an operation is never torn apart.
 *
 * @module
 */

import type { BrokerStore, StagedBlob } from "./broker_store.ts";
import { encodeEntry, type Entity } from "./entries.ts";

/** Done once a commit is on disk. */
export type Effect = () => void;

/** Room for what an item brings along into its group. */
const ITEM_OVERHEAD_BYTES = 512;

/** Gathers changes and effects; one per core. */
export class Commits {
  readonly #store: BrokerStore;
  readonly #onDefect: (error: unknown) => void;
  #dirty: Entity[] = [];
  #effects: Effect[] = [];
  #hasOpen = false;
  #serial = 0;
  #isEnded = false;
  /** Effects of the groups that are sealed but not yet on disk, oldest first. */
  readonly #sealed: Effect[][] = [];

  /**
   * @param onDefect An effect threw: a defect that the core cannot go on from.
   */
  constructor(store: BrokerStore, onDefect: (error: unknown) => void) {
    this.#store = store;
    this.#onDefect = onDefect;
  }

  /** The same as long as effects gather in the same place. */
  get serial(): number {
    return this.#serial;
  }

  /** `entity` is new or different: its entry goes into the open group. */
  changed(entity: Entity): void {
    if (entity.isDirty || entity.isGone) return;
    entity.isDirty = true;
    this.#dirty.push(entity);
  }

  /** `entity` is no more: its entry is deleted in the open group. */
  removed(entity: Entity): void {
    if (entity.isGone) return;
    entity.isGone = true;
    if (this.#isEnded) return;
    this.#hasOpen = true;
    this.#store.delete(entity.table, entity.key);
  }

  /** Does `effect` once everything until now is on disk. */
  whenDone(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** Makes sure that what follows, up to the append of so many bytes, shares a group. */
  makeRoom(bytes: number): void {
    this.#store.makeRoom(bytes + ITEM_OVERHEAD_BYTES);
  }

  /** Appends an item; gives its first offset. */
  append(
    log: number,
    count: number,
    meta: Uint8Array,
    body: Uint8Array,
  ): number {
    this.#hasOpen = true;
    return this.#store.append(log, count, meta, body);
  }

  /** Appends a staged record; gives its offset. */
  appendStaged(log: number, meta: Uint8Array, blob: StagedBlob): number {
    this.#hasOpen = true;
    return this.#store.appendStaged(log, meta, blob);
  }

  /** Makes offsets gone. */
  trim(log: number, begin: number): void {
    this.#hasOpen = true;
    this.#store.trim(log, begin);
  }

  /** A new log. */
  createLog(): number {
    this.#hasOpen = true;
    return this.#store.createLog();
  }

  /** Ends a log. */
  dropLog(log: number): void {
    this.#hasOpen = true;
    this.#store.dropLog(log);
  }

  /** Nothing is committed and nobody hears of anything any more: the store failed. */
  end(): void {
    this.#isEnded = true;
    this.#effects = [];
  }

  /** Ends an operation: what it changed is committed with whatever else is there. */
  finish(): void {
    this.#finish(true);
  }

  /** Ends an operation whose commit nobody waits for: it goes with the next one. */
  finishSoon(): void {
    this.#finish(false);
  }

  #finish(isAwaited: boolean): void {
    if (this.#isEnded) return;
    if (this.#hasOpen || this.#dirty.length > 0) {
      if (isAwaited) this.#store.commit();
      else this.#store.commitSoon();
      return;
    }
    if (this.#effects.length === 0) return;
    // Nothing of its own to commit: it waits for what it may have seen.
    const last = this.#sealed.at(-1);
    if (last === undefined) this.#run(this.#takeEffects());
    else last.push(...this.#takeEffects());
  }

  /** For the store's `onSeal`. */
  seal(): (() => void) | null {
    for (const entity of this.#dirty) {
      entity.isDirty = false;
      if (entity.isGone) continue;
      this.#store.put(entity.table, entity.key, encodeEntry(entity.toFields()));
    }
    this.#dirty = [];
    this.#hasOpen = false;
    const effects = this.#takeEffects();
    this.#sealed.push(effects);
    return () => {
      this.#sealed.shift();
      this.#run(effects);
    };
  }

  #takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    this.#serial++;
    return effects;
  }

  #run(effects: readonly Effect[]): void {
    try {
      for (const effect of effects) {
        if (this.#isEnded) return;
        effect();
      }
    } catch (error) {
      this.#onDefect(error);
    }
  }
}
