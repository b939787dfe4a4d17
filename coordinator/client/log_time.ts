/**
 * What time it is in a shard's log, as far as its replies tell.
 *
 * @module
 */

/** The log's time, carried on by the monotonic clock. */
export class LogTime {
  #known: { timeMs: number; atMs: number } | null = null;

  /** The log's time never falls; an answer that is sent again tells an old one. */
  note(timeMs: number, nowMs: number): void {
    const known = this.at(nowMs);
    if (known === null || known <= timeMs) {
      this.#known = { timeMs, atMs: nowMs };
    }
  }

  /** The log's time at a moment of the monotonic clock; `null` as long as it is not known. */
  at(nowMs: number): number | null {
    if (this.#known === null) return null;
    return this.#known.timeMs + (nowMs - this.#known.atMs);
  }
}
