/**
 * What must outlive everything it was counted for: sums of subscriptions, users
 * and topics that have ended, and the next user's key.
 *
 * @module
 */

import { Counts } from "./counts.ts";
import { type Entity, EntryReader, type Field, TABLES } from "./entries.ts";

/** One entry for the whole store. */
export class Totals implements Entity {
  readonly table: number = TABLES.totals;
  readonly key = 0;
  isDirty = false;
  isGone = false;
  /** Keys of users are never used again: stored messages name their senders by them. */
  nextUserKey = 1;
  /** Messages that were published to topics forgotten since. */
  published = 0;
  /** What became of messages of subscriptions that have ended. */
  readonly ended: Counts = new Counts();
  /** The store's epoch as of the last commit; 0 when none was noted. */
  epoch = 0;
  /** The epoch that went on in this one, 0 if it is the first. */
  epochBefore = 0;
  /** Messages that waited when this epoch began: somebody may have had them. */
  mayComeTwice = 0;

  /** @param bytes Its entry, if there is one. */
  constructor(bytes: Uint8Array | undefined) {
    if (bytes === undefined) return;
    const entry = new EntryReader("totals", bytes);
    this.nextUserKey = entry.number();
    this.published = entry.number();
    this.ended.addAll(Counts.read(entry.list()));
    if (!entry.hasMore) return;
    this.epoch = entry.number();
    this.epochBefore = entry.number();
    this.mayComeTwice = entry.number();
  }

  toFields(): Field[] {
    return [
      this.nextUserKey,
      this.published,
      this.ended.toFields(),
      this.epoch,
      this.epochBefore,
      this.mayComeTwice,
    ];
  }
}
