/**
 * Time and chance of the operating system. Nothing else in coordinator/ reads a
 * clock or draws a random number.
 *
 * @module
 */

import type { Clock, Entropy, Timer } from "../mod.ts";

/** The clock of the operating system. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs: number, callback: () => void): Timer {
    const id = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(id) };
  },
};

/** The operating system's random numbers. */
export const systemEntropy: Entropy = {
  bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)),
  fraction: () => Math.random(),
};

/** Resolves after so many milliseconds. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve));
}
