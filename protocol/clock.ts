/**
 * Time and chance, passed in so that a whole system can run in one process
 * from one seed. Nothing else in protocol/, storage/, broker/ and daemon/ reads
 * a clock or draws a random number.
 *
 * @module
 */

/** A running timer. Cancelling it twice does nothing. */
export interface Timer {
  /** Stops the timer; its callback is not called any more. */
  cancel(): void;
}

/** Where the time comes from. */
export interface Clock {
  /** Wall time in milliseconds since 1970; may jump both ways. */
  wallMs(): number;
  /** Milliseconds since some fixed moment; never falls. For durations. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs` (monotonic) milliseconds. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** Where chance comes from. */
export interface Entropy {
  /** `length` fresh random bytes. */
  bytes(length: number): Uint8Array;
  /** A number in [0, 1), for jitter. */
  fraction(): number;
}

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
