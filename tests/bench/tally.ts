/**
 * Counts what a reader gets of each writer, and sees what is out of order. Pure.
 *
 * @module
 */

/** What one reader got. */
export class Tally {
  received = 0;
  /** Came after a later one of its writer, or a second time. */
  reordered = 0;
  readonly #next: number[] = [];

  /** One message: the how manieth of which writer, both from 0. */
  take(writer: number, sequence: number): void {
    this.received++;
    const next = this.#next[writer] ?? 0;
    if (sequence < next) this.reordered++;
    else this.#next[writer] = sequence + 1;
  }
}
