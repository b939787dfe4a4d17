/**
 * What a coordinator has received of a shard and not acknowledged: its mailbox
 * keeps that, so that a start finds the newest snapshot and all records behind it.
 *
 * @module
 */

import type { Received } from "./replica.ts";

/** The messages of one shard that are not acknowledged. */
export class Custody {
  /** In the order of their offsets, but for those that come again. */
  #records: Received[] = [];
  #snapshot: Received | null = null;
  #covered = 0;

  /** Offset of the first record that no snapshot here covers. */
  get covered(): number {
    return this.#covered;
  }

  /** A record: kept until a snapshot covers it. */
  addRecord(message: Received): void {
    if (message.offset < this.#covered) this.refuse(message);
    else this.#records.push(message);
  }

  /**
   * A snapshot: kept until there is a later one.
   *
   * @param next Offset of the first record that it does not cover.
   * @returns Whether it is the latest.
   */
  addSnapshot(message: Received, next: number): boolean {
    if (next < this.#covered) {
      this.refuse(message);
      return false;
    }
    const before = this.#snapshot;
    this.#snapshot = message;
    this.#covered = next;
    const records = this.#records;
    this.#records = [];
    for (const record of records) this.addRecord(record);
    if (before !== null) this.refuse(before);
    return true;
  }

  /** Acknowledges a message that is of no use. */
  refuse(message: Received): void {
    // If that cannot be told now it comes again, and is refused again.
    message.ack().catch(() => {});
  }
}
