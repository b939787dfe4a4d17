/**
 * Sets of offsets of several logs: what was pushed, what was told, what is still to
 * come.
 *
 * @module
 */

import { OffsetSet } from "../../protocol/offset_set.ts";

const NONE: ReadonlyMap<number, OffsetSet> = new Map();

/** A set of offsets for each log that has any in it. */
export class OffsetsByLog {
  /** Made with the first: most users have none of most kinds. */
  #sets: Map<number, OffsetSet> | null = null;

  /** Whether there is none of any log. */
  get isEmpty(): boolean {
    return this.#sets === null || this.#sets.size === 0;
  }

  /** Those of a log; `undefined`: none. */
  get(logId: number): OffsetSet | undefined {
    return this.#sets?.get(logId);
  }

  /** Puts a range in. */
  add(logId: number, from: number, to: number): void {
    const sets = this.#sets ??= new Map<number, OffsetSet>();
    let set = sets.get(logId);
    if (set === undefined) sets.set(logId, set = new OffsetSet());
    set.add(from, to);
  }

  /** Takes a range out. */
  remove(logId: number, from: number, to: number): void {
    const set = this.#sets?.get(logId);
    if (set === undefined) return;
    set.remove(from, to);
    if (set.end === 0) this.#sets?.delete(logId);
  }

  /** Takes everything out. */
  clear(): void {
    this.#sets = null;
  }

  /** Log ids with their sets. */
  [Symbol.iterator](): Iterator<[logId: number, set: OffsetSet]> {
    return (this.#sets ?? NONE).entries();
  }
}
