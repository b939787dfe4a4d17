/**
 * The end of a wait for receipts that nobody sent.
 *
 * @module
 */

import { MomError } from "../../../protocol/errors.ts";
import type { OutgoingBatch, TopicQueue } from "./topic_queue.ts";

/** How long waits may last. */
export interface Patience {
  /** The present moment, on the monotonic clock. */
  readonly nowMs: number;
  /** When the connection was lost, on the monotonic clock. */
  readonly sinceMs: number;
  /** How long a wait may last from then on. */
  readonly timeoutMs: number;
}

/**
 * Ends the waits that have lasted too long.
 *
 * @returns Before which moment no other has.
 */
export function giveUpDue(
  queues: Iterable<TopicQueue>,
  { nowMs, sinceMs, timeoutMs }: Patience,
): number {
  let nextMs = nowMs + timeoutMs;
  for (const queue of queues) {
    if (queue.isIdle) continue;
    const { openSinceMs } = queue;
    if (openSinceMs !== null && openSinceMs + timeoutMs <= nowMs) queue.seal();
    for (const batch of [...queue.stream]) {
      const dueMs = Math.max(batch.tag.beganMs, sinceMs) + timeoutMs;
      if (batch.tag.isGivenUp) continue;
      if (dueMs <= nowMs) giveUp(queue, batch);
      else nextMs = Math.min(nextMs, dueMs);
    }
    if (queue.openSinceMs !== null) {
      nextMs = Math.min(nextMs, queue.openSinceMs + timeoutMs);
    }
  }
  return nextMs;
}

/**
 * Ends the wait for a batch. One that was never given to a connection is taken
 * back, and its callers know that; else it may arrive yet.
 */
function giveUp(queue: TopicQueue, batch: OutgoingBatch): void {
  batch.tag.isGivenUp = true;
  const away = new MomError(
    "daemon_unavailable",
    `Cannot publish to "${queue.topic}": no connection to the daemon`,
  );
  const isBack = queue.stream.withdraw(batch);
  batch.tag.callers.reject(isBack ? away : unknownOutcome(queue, away));
}

/** A batch was sent, and no answer will be waited for. */
export function unknownOutcome(queue: TopicQueue, cause: MomError): MomError {
  return new MomError(
    "outcome_unknown",
    `Cannot tell whether "${queue.topic}" was published: no answer came, it may still arrive`,
    { cause },
  );
}
