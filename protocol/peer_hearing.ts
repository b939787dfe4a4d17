/**
 * When the other side of a conversation was last heard (PROTOCOL 4.2); silence while
 * nothing is read here is not its own.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** How often an answer is waited for anew because nothing could be heard meanwhile. */
const WAITS_MAX = 5;

/** What a peer hears, as life signs. */
export class PeerHearing {
  readonly #clock: Clock;
  #heardMs: number;
  /** A handler has not taken the last chunk: nothing is read. */
  #isDeaf = false;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#heardMs = clock.monotonicMs();
  }

  /** When something was last heard, on the monotonic clock; now, while nothing is read. */
  get heardMs(): number {
    return this.#isDeaf ? this.#clock.monotonicMs() : this.#heardMs;
  }

  /** The other side gave a sign of life. */
  hear(): void {
    this.#heardMs = this.#clock.monotonicMs();
    if (this.#waiting.length > 0) this.wake();
  }

  /** Who waits to hear something need not wait any more. */
  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Nothing is read until `pending` settles: silence meanwhile is our own. */
  async restFor(pending: Promise<void>): Promise<void> {
    this.#isDeaf = true;
    await pending;
    this.#isDeaf = false;
    this.#heardMs = this.#clock.monotonicMs();
  }

  /** Resolves to whether anything is heard, or the end comes, within a time. */
  hears(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const heard = () => {
        timer.cancel();
        resolve(true);
      };
      const timer = this.#clock.setTimer(timeoutMs, () => {
        this.#waiting.splice(this.#waiting.indexOf(heard), 1);
        resolve(false);
      });
      this.#waiting.push(heard);
    });
  }

  /** The same, after a PING: time in which nothing was read here does not count. */
  async hearsAnswer(timeoutMs: number): Promise<boolean> {
    for (let waits = 0; waits < WAITS_MAX; waits++) {
      const dueMs = this.#clock.monotonicMs() + timeoutMs;
      if (await this.hears(timeoutMs)) return true;
      const lateMs = this.#clock.monotonicMs() - dueMs;
      if (!this.#isDeaf && lateMs < timeoutMs / 2) return false;
    }
    return false;
  }
}
