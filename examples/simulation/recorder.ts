/**
 * Writes down what happens: publishes it, in the order of the calls.
 *
 * @module
 */

import type { Mom } from "../../mod.ts";

/** One who takes part, and says what it does. */
export class Recorder<E> {
  readonly #mom: Mom;
  readonly #topic: string;
  #receipts: Promise<unknown>[] = [];

  /** @param topic Where all events of a simulation go. */
  constructor(mom: Mom, topic: string) {
    this.#mom = mom;
    this.#topic = topic;
  }

  /** Says it; `settled` tells when it is on the broker's disk. */
  record(event: E): void {
    const receipt = this.#mom.publish(this.#topic, event, { level: "broker" });
    // A failure is that of the next `settled`.
    receipt.catch(() => {});
    this.#receipts.push(receipt);
  }

  /** Resolves when all that was recorded has its place in the order. */
  async settled(): Promise<void> {
    await Promise.all(this.#receipts.splice(0));
  }
}
