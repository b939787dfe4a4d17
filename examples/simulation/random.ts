/**
 * Chance that follows from a seed (mulberry32), so that a run can be had again.
 *
 * @module
 */

/** Draws the same numbers for the same seed and name. */
export class Random {
  #state: number;

  /**
   * @param seed Of the run.
   * @param name Whose chance it is; each has its own.
   */
  constructor(seed: number, name: string) {
    this.#state = seed >>> 0;
    for (const char of name) {
      this.#state = Math.imul(this.#state ^ char.codePointAt(0)!, 0x0100_0193);
    }
  }

  /** A number from 0 on, below 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A number between two, the first included. */
  between(from: number, to: number): number {
    return from + this.fraction() * (to - from);
  }

  /** A whole number from 0 on, below `count`. */
  below(count: number): number {
    return Math.floor(this.fraction() * count);
  }

  /** True in so many of a hundred cases. */
  percent(share: number): boolean {
    return this.fraction() * 100 < share;
  }
}
