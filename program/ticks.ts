/**
 * A server's steady pace, and how far behind it is: timers that run late mean that
 * the process stood still, and then nobody could be heard.
 *
 * @module
 */

import type { Clock, Timer } from "../protocol/clock.ts";

/** Calls back again and again. */
export class Ticks {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #onTick: (lateMs: number) => void;
  #dueMs = 0;
  #timer: Timer;

  /**
   * Begins.
   *
   * @param everyMs From one to the next.
   * @param onTick Gets how much later than due it is.
   */
  constructor(
    clock: Clock,
    everyMs: number,
    onTick: (lateMs: number) => void,
  ) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#onTick = onTick;
    this.#timer = this.#arm(clock.monotonicMs());
  }

  /** Ends. */
  stop(): void {
    this.#timer.cancel();
  }

  #arm(nowMs: number): Timer {
    this.#dueMs = nowMs + this.#everyMs;
    return this.#clock.setTimer(this.#everyMs, () => this.#tick());
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#dueMs;
    this.#timer = this.#arm(nowMs);
    this.#onTick(lateMs);
  }
}
