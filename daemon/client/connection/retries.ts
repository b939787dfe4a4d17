/**
 * The waits between two tries: each a random part of a time that grows.
 *
 * @module
 */

import type { Clock, Entropy } from "../../../protocol/clock.ts";
import { LIMITS } from "../../../protocol/limits.ts";

/** What retries stand on. */
export interface RetriesOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** How long a call waits for a connection. */
  readonly reconnectTimeoutMs: number;
}

/** The tries of one connection. */
export class Retries {
  readonly #options: RetriesOptions;
  #attempts = 0;

  constructor(options: RetriesOptions) {
    this.#options = options;
  }

  /** A connection is lost that had held since a moment. */
  lost(sinceMs: number, nowMs: number): void {
    // What breaks again and again once it is attached is a failed try, too.
    if (nowMs - sinceMs >= LIMITS.reconnectSettledMs) this.#attempts = 0;
  }

  /** Full jitter: many handles that lost the same daemon do not come back at once. */
  nextMs(): number {
    const { entropy, reconnectTimeoutMs } = this.#options;
    const longestMs = Math.min(
      LIMITS.reconnectMinMs * 2 ** this.#attempts++,
      LIMITS.reconnectMaxMs,
      // A call made while the daemon is back already shall see the next attempt.
      Math.max(LIMITS.reconnectMinMs, reconnectTimeoutMs / 2),
    );
    return Math.round(entropy.fraction() * longestMs);
  }

  /** Waits, unless the signal ends that. */
  pause(waitMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const go = () => {
        timer.cancel();
        signal.removeEventListener("abort", go);
        resolve();
      };
      const timer = clock.setTimer(waitMs, go);
      signal.addEventListener("abort", go, { once: true });
    });
  }
}
