/**
 * A limit on several waits together.
 *
 * @module
 */

import type { Clock, Timer } from "../../protocol/clock.ts";

/** A time that several waits share. */
export class TimeLimit {
  readonly #timer: Timer;
  readonly #over: Promise<void>;

  /** Begins at once. */
  constructor(clock: Clock, limitMs: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#over = promise;
    this.#timer = clock.setTimer(limitMs, resolve);
  }

  /** Waits, but not for longer than what is left. */
  async wait(promise: Promise<void>): Promise<void> {
    await Promise.race([promise, this.#over]);
  }

  /** Is of no use any more. */
  end(): void {
    this.#timer.cancel();
  }
}
