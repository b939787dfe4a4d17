/**
 * How much is due when so much a second is wanted.
 *
 * @module
 */

/** What is later than this is left out: a standstill is not made up for. */
const LATE_MS_MAX = 2_000;

/** A steady pace. */
export class Pace {
  readonly #perMs: number;
  #lastMs: number;
  #due = 0;

  /** @param perSecond How many a second. */
  constructor(perSecond: number, nowMs: number) {
    this.#perMs = perSecond / 1_000;
    this.#lastMs = nowMs;
  }

  /** How many are due now; they are taken for done. */
  take(nowMs: number): number {
    this.#due += (nowMs - this.#lastMs) * this.#perMs;
    this.#due = Math.min(this.#due, LATE_MS_MAX * this.#perMs);
    this.#lastMs = nowMs;
    const count = Math.floor(this.#due);
    this.#due -= count;
    return count;
  }
}
