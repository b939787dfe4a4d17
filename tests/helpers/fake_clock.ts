/**
 * A clock that only a test moves: wall and monotonic time apart, and a process
 * that can stand still.
 *
 * @module
 */

import type { Clock, Timer } from "../../protocol/clock.ts";

interface Pending {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Time by hand. */
export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 1_000;
  #timers = new Set<Pending>();

  /** @param wallMs Wall time to begin with. */
  constructor(wallMs = 1_700_000_000_000) {
    this.#wallMs = wallMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const dueMs = this.#monotonicMs + Math.max(0, delayMs);
    const timer = { dueMs, run: callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Time passes; each timer runs at its moment. */
  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms;
    for (
      let next = this.#next(endMs);
      next !== null;
      next = this.#next(endMs)
    ) {
      this.#pass(next.dueMs - this.#monotonicMs);
      this.#timers.delete(next);
      next.run();
    }
    this.#pass(endMs - this.#monotonicMs);
  }

  /** As `advance`, with a turn of the event loop after each step. */
  async run(ms: number, stepMs = 50): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.advance(Math.min(left, stepMs));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** The process stands still: then all that is due runs, before anything is read. */
  stall(ms: number): void {
    this.#pass(ms);
    this.advance(0);
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }

  #next(endMs: number): Pending | null {
    let next: Pending | null = null;
    for (const timer of this.#timers) {
      if (timer.dueMs > endMs) continue;
      if (next === null || timer.dueMs < next.dueMs) next = timer;
    }
    return next;
  }

  #pass(ms: number): void {
    const passed = Math.max(0, ms);
    this.#monotonicMs += passed;
    this.#wallMs += passed;
  }
}
