/**
 * The end of a wait for receipts that nobody sent.
 *
 * @module
 */

import { MomError } from "../../../protocol/errors.ts";
import type { OutgoingBatch, TopicQueue } from "./topic_queue.ts";

/**
 * Ends the wait for a batch. One that was never given to a connection is taken
 * back, and its callers know that; else it may arrive yet.
 */
export function giveUp(queue: TopicQueue, batch: OutgoingBatch): void {
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
