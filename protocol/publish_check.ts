/**
 * What a PUBLISH must be, whoever takes it: its batch is as many records as it
 * says, none of them is too large, and its sequences are numbers that can follow
 * each other (PROTOCOL 8.2, 8.8).
 *
 * @module
 */

import { checkAttributes } from "./attributes.ts";
import { countRecords, recordEnd } from "./batch.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type { Publish } from "./messages.ts";
import { checkTopic, isOwnTopic } from "./topics.ts";

/** What a record may have beside its value: headers, and the heads around both. */
const RECORD_EXTRA_BYTES = LIMITS.headerBytes + 1024;

/**
 * Refuses topics that nobody may publish to.
 *
 * @throws {MomError} `topic_invalid`.
 */
export function checkPublishTopic(topic: string): void {
  checkTopic(topic);
  if (!isOwnTopic(topic)) return;
  throw new MomError(
    "topic_invalid",
    `Cannot publish to "${topic}": topics that begin with "$" are mom's own`,
  );
}

/**
 * Checks everything but the topic.
 *
 * @param maxMessageBytes Largest value of a record.
 * @throws {MomError} `bad_message`, `unsupported`, `message_too_large`.
 */
export function checkBatch(message: Publish, maxMessageBytes: number): void {
  checkAttributes(message.attributes);
  checkSequences(message);
  const { batch, count } = message;
  const has = countRecords(batch);
  if (has !== count) {
    throw new MomError(
      "bad_message",
      `Cannot publish: the batch has ${has} records, not ${count}`,
    );
  }
  const limit = maxMessageBytes + RECORD_EXTRA_BYTES;
  if (batch.length <= limit) return;
  for (let at = 0; at < batch.length;) {
    const end = recordEnd(batch, at);
    if (end - at > limit) {
      throw new MomError(
        "message_too_large",
        `Cannot publish: a record of ${end - at} bytes, at most ${limit}`,
      );
    }
    at = end;
  }
}

function checkSequences({ previous, firstSequence, count }: Publish): void {
  if (previous >= firstSequence) {
    throw new MomError(
      "bad_message",
      `Cannot publish: field "previous" is ${previous}, not below the first sequence ${firstSequence}`,
    );
  }
  // The sum itself could be a number that is rounded.
  if (count - 1 <= Number.MAX_SAFE_INTEGER - firstSequence) return;
  throw new MomError(
    "bad_message",
    `Cannot publish: ${count} records from sequence ${firstSequence} on reach beyond 2^53 - 1`,
  );
}
