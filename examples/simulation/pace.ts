/**
 * The time of a simulation, which may go faster than ours.
 *
 * @module
 */

/** Waits in the simulation's seconds. */
export class Pace {
  readonly #speed: number;

  /** @param speed How many of its seconds pass in one of ours. */
  constructor(speed: number) {
    this.#speed = speed;
  }

  /** Resolves after so many of its seconds; rejects when the signal comes first. */
  async pause(seconds: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, seconds * 1_000 / this.#speed);
      signal?.addEventListener("abort", stop, { once: true });
    });
  }
}
