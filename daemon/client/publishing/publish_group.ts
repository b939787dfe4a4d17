/**
 * Many values to one topic, with one caller who hears of all of them.
 *
 * @module
 */

import { cutBatch } from "../../../protocol/batch.ts";
import type { Deadlines } from "../deadlines.ts";
import type { PublishOptions } from "../options.ts";
import { GroupCaller, PublishWait, type Receipt } from "./receipts.ts";
import type { BatchTerms, BufferPool, TopicQueue } from "./topic_queue.ts";

/** Whom it goes through. */
export interface GroupContext {
  readonly queue: TopicQueue;
  readonly pool: BufferPool;
  readonly deadlines: Deadlines;
  /** The monotonic clock. */
  nowMs(): number;
}

/**
 * Queues values, at least one: all, or none if one cannot be encoded.
 *
 * @returns Their receipts, in order.
 * @throws {MomError} `value_unsupported`, `message_too_large`.
 */
export function publishGroup(
  { queue, pool, deadlines, nowMs }: GroupContext,
  values: readonly unknown[],
  options: PublishOptions,
  terms: BatchTerms,
): Promise<Receipt[]> {
  const records = pool.lend();
  try {
    // All are encoded before anything is queued.
    for (const value of values) records.append(value, options.headers);
    const bytes = records.take();
    return new Promise((resolve, reject) => {
      const group = new GroupCaller(values.length, resolve, reject);
      if (options.timeoutMs !== undefined || options.signal !== undefined) {
        group.setWait(
          new PublishWait(queue.topic, reject, deadlines, options),
        );
      }
      const beganMs = nowMs();
      let first = 0;
      for (let rest = bytes; rest.length > 0;) {
        const cut = cutBatch(rest, pool.batchBytes);
        const part = group.part(first, cut.count);
        const batch = rest.subarray(0, cut.bytes);
        queue.push(batch, cut.count, part, terms, beganMs);
        first += cut.count;
        rest = rest.subarray(cut.bytes);
      }
    });
  } finally {
    pool.giveBack(records);
  }
}
