/**
 * Takes on one connection, and counts.
 *
 * @module
 */

import { sequenceOf, timeOf, writerOf } from "../body.ts";
import type { BenchConnection } from "../connection.ts";
import { Tally } from "../tally.ts";
import { nowMs } from "./moment.ts";

/** One reader. */
export class Reader {
  readonly connection: BenchConnection;
  readonly tally = new Tally();
  /** When the last came, up to the end of its turn. */
  atMs = 0;
  /** Told each body's time; for latencies. */
  onTime: ((timeMs: number) => void) | null = null;
  #isStampQueued = false;

  constructor(connection: BenchConnection) {
    this.connection = connection;
  }

  /** Begins to take. */
  async take(topic: string, isBulk: boolean): Promise<void> {
    await this.connection.take(topic, isBulk, (body) => this.#onBody(body));
  }

  #onBody(body: Uint8Array): void {
    this.tally.take(writerOf(body), sequenceOf(body));
    if (this.onTime !== null) return this.onTime(timeOf(body));
    if (this.#isStampQueued) return;
    // Once for all that come in one go, and after them.
    this.#isStampQueued = true;
    queueMicrotask(() => {
      this.#isStampQueued = false;
      this.atMs = nowMs();
    });
  }
}
