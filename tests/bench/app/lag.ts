/**
 * A reader who is always behind: reads a topic from its begin, and when it has
 * all of it begins again as another user.
 *
 * @module
 */

import { Mom } from "../../../mod.ts";
import type { ConnectionSettings } from "../connection.ts";

const TAKEN_AT_ONCE = 1_000;

/** Reads until it is stopped. */
export class Laggard {
  #isStopped = false;
  #taken = 0;
  readonly #reading: Promise<void>;

  constructor(
    settings: Omit<ConnectionSettings, "name">,
    topic: string,
    count: number,
  ) {
    this.#reading = this.#read(settings, topic, count);
    // Told by stop().
    this.#reading.catch(() => {});
  }

  /** Ends it; gives how many messages it has read. */
  async stop(): Promise<number> {
    this.#isStopped = true;
    await this.#reading;
    return this.#taken;
  }

  async #read(
    { address, isDirect }: Omit<ConnectionSettings, "name">,
    topic: string,
    count: number,
  ): Promise<void> {
    const where = isDirect ? { broker: address } : { daemon: address };
    while (!this.#isStopped) {
      await using mom = await Mom.connect(where);
      await mom.subscribe(topic, { from: "earliest" });
      for (let left = count; left > 0 && !this.#isStopped;) {
        const options = { max: TAKEN_AT_ONCE, timeoutMs: 500 };
        const { length } = await mom.receiveMany(options);
        left -= length;
        this.#taken += length;
      }
    }
  }
}
