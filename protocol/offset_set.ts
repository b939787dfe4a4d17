/**
 * Sets of whole numbers from 0 that are mostly contiguous: what is settled,
 * what was received, what is in custody. Kept as a floor (all below it is in
 * the set) and the ranges above it, sorted, apart from each other.
 *
 * ```text
 *  0 ........ floor      from   to        from to
 *  ███████████░░░░░░░░░░░██████░░░░░░░░░░░████░░░░░
 * ```
 *
 * All ranges are half-open: `from` is in, `to` is not.
 *
 * @module
 */

import { MomError } from "./errors.ts";

/** A range of numbers: `from` is in, `to` is not. */
export type OffsetRange = readonly [from: number, to: number];

/**
 * A set of whole numbers. Adding at the end or right above the floor takes
 * constant time, anything else a binary search and a move of what lies behind.
 *
 * @example
 * ```ts
 * import { OffsetSet } from "./offset_set.ts";
 *
 * const taken = new OffsetSet(10);
 * taken.add(12, 15);
 * if (taken.add(10, 13) !== 2 || taken.floor !== 15) throw new Error();
 * ```
 */
export class OffsetSet {
  #floor: number;
  /** Flat: from, to, from, to… The first range begins above the floor. */
  #ranges: number[] = [];

  /** @param floor All below it is in the set. */
  constructor(floor = 0) {
    this.#floor = floor;
  }

  /**
   * A set from its flat form, `[floor, from, to, from, to…]`.
   *
   * @throws {MomError} `bad_message` when it is no flat form of a set.
   */
  static fromArray(flat: readonly number[]): OffsetSet {
    if (flat.length % 2 === 0) throw badFlat("its length is even");
    let last = -1;
    for (const [index, value] of flat.entries()) {
      // Strictly rising: a range has something in it and a gap before it.
      if (!Number.isSafeInteger(value) || value <= last) {
        throw badFlat(`${value} at index ${index} after ${last}`);
      }
      last = value;
    }
    const set = new OffsetSet(flat[0]);
    set.#ranges = flat.slice(1);
    return set;
  }

  /** The flat form, `[floor, from, to, from, to…]`. */
  toArray(): number[] {
    return [this.#floor, ...this.#ranges];
  }

  /** A copy. */
  clone(): OffsetSet {
    const set = new OffsetSet(this.#floor);
    set.#ranges = this.#ranges.slice();
    return set;
  }

  /** The smallest number that is not in the set. */
  get floor(): number {
    return this.#floor;
  }

  /** The number behind the largest one in the set; 0 for an empty set. */
  get end(): number {
    return this.#ranges.at(-1) ?? this.#floor;
  }

  /** How many ranges lie above the floor. */
  get rangeCount(): number {
    return this.#ranges.length / 2;
  }

  /** The ranges above the floor. */
  ranges(): OffsetRange[] {
    const list: OffsetRange[] = [];
    for (let i = 0; i < this.#ranges.length; i += 2) {
      list.push([this.#ranges[i], this.#ranges[i + 1]]);
    }
    return list;
  }

  /** All ranges, the one below the floor included. */
  spans(): OffsetRange[] {
    const above = this.ranges();
    return this.#floor === 0 ? above : [[0, this.#floor], ...above];
  }

  /** Whether `offset` is in the set. */
  has(offset: number): boolean {
    if (offset < this.#floor) return true;
    const i = this.#firstEndingAfter(offset);
    return i < this.#ranges.length && this.#ranges[i] <= offset;
  }

  /**
   * Puts the numbers from `from` up to but without `to` in.
   *
   * @returns How many of them were not in the set before.
   */
  add(from: number, to: number): number {
    if (to <= this.#floor || from >= to) return 0;
    if (from <= this.#floor) return this.#raise(to);
    const ranges = this.#ranges;
    const end = ranges.length;
    if (end === 0 || from > ranges[end - 1]) {
      ranges.push(from, to);
      return to - from;
    }
    if (from === ranges[end - 1]) {
      ranges[end - 1] = to;
      return to - from;
    }
    return this.#merge(from, to);
  }

  /**
   * Puts everything below `offset` in.
   *
   * @returns How many numbers were not in the set before.
   */
  raiseFloor(offset: number): number {
    return offset <= this.#floor ? 0 : this.#raise(offset);
  }

  /**
   * Takes the numbers from `from` up to but without `to` out.
   *
   * @returns How many of them were in the set.
   */
  remove(from: number, to: number): number {
    const removed = this.countIn(from, to);
    if (removed === 0) return 0;
    const kept: number[] = [];
    const keep = (start: number, end: number) => {
      if (start < Math.min(end, from)) kept.push(start, Math.min(end, from));
      if (Math.max(start, to) < end) kept.push(Math.max(start, to), end);
    };
    if (this.#floor > 0) keep(0, this.#floor);
    for (let i = 0; i < this.#ranges.length; i += 2) {
      keep(this.#ranges[i], this.#ranges[i + 1]);
    }
    this.#floor = kept[0] === 0 ? kept[1] : 0;
    this.#ranges = kept[0] === 0 ? kept.slice(2) : kept;
    return removed;
  }

  /**
   * Takes everything below `offset` out.
   *
   * @returns How many numbers were in the set.
   */
  removeBelow(offset: number): number {
    return this.remove(0, offset);
  }

  /** How many numbers from `from` up to but without `to` are in the set. */
  countIn(from: number, to: number): number {
    if (from >= to) return 0;
    let count = Math.max(0, Math.min(to, this.#floor) - from);
    const ranges = this.#ranges;
    for (
      let i = this.#firstEndingAfter(from);
      i < ranges.length && ranges[i] < to;
      i += 2
    ) {
      count += Math.min(to, ranges[i + 1]) - Math.max(from, ranges[i]);
    }
    return count;
  }

  /** What of `from` up to but without `to` is not in the set, in order. */
  missing(from: number, to: number): OffsetRange[] {
    const gaps: OffsetRange[] = [];
    let at = Math.max(from, this.#floor);
    const ranges = this.#ranges;
    for (
      let i = this.#firstEndingAfter(at);
      i < ranges.length && ranges[i] < to;
      i += 2
    ) {
      if (at < ranges[i]) gaps.push([at, ranges[i]]);
      at = ranges[i + 1];
    }
    if (at < to) gaps.push([at, to]);
    return gaps;
  }

  /** Index of the first range that ends after `offset`. */
  #firstEndingAfter(offset: number): number {
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ranges[2 * middle + 1] > offset) high = middle;
      else low = middle + 1;
    }
    return 2 * low;
  }

  /** Raises the floor to `to` or the end of the range that it runs into. */
  #raise(to: number): number {
    const ranges = this.#ranges;
    let added = to - this.#floor;
    let i = 0;
    while (i < ranges.length && ranges[i] <= to) {
      added -= Math.min(to, ranges[i + 1]) - ranges[i];
      if (ranges[i + 1] > to) to = ranges[i + 1];
      i += 2;
    }
    if (i > 0) ranges.splice(0, i);
    this.#floor = to;
    return added;
  }

  /** Adds a range above the floor that does not lie behind all others. */
  #merge(from: number, to: number): number {
    const ranges = this.#ranges;
    // A range that ends where this one begins is to become one with it.
    const first = this.#firstEndingAfter(from - 1);
    let added = to - from;
    let start = from;
    let end = to;
    let i = first;
    while (i < ranges.length && ranges[i] <= to) {
      const overlap = Math.min(to, ranges[i + 1]) - Math.max(from, ranges[i]);
      if (overlap > 0) added -= overlap;
      start = Math.min(start, ranges[i]);
      end = Math.max(end, ranges[i + 1]);
      i += 2;
    }
    ranges.splice(first, i - first, start, end);
    return added;
  }
}

function badFlat(problem: string): MomError {
  return new MomError("bad_message", `Cannot read set of offsets: ${problem}`);
}
