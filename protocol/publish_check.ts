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
  const bytes = findTooLarge(batch, maxMessageBytes);
  if (bytes === null) return;
  const limit = maxMessageBytes + RECORD_EXTRA_BYTES;
  throw new MomError(
    "message_too_large",
    `Cannot publish: a record of ${bytes} bytes, at most ${limit}`,
  );
}

/** Bytes of the first record of a batch that is too large; `null` if none is. */
export function findTooLarge(
  batch: Uint8Array,
  maxMessageBytes: number,
): number | null {
  const limit = maxMessageBytes + RECORD_EXTRA_BYTES;
  if (batch.length <= limit) return null;
  for (let at = 0; at < batch.length;) {
    const end = recordEnd(batch, at);
    if (end - at > limit) return end - at;
    at = end;
  }
  return null;
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

/** A run of records of a batch: `index` is that of the first. */
export interface Run {
  readonly index: number;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** A batch in runs that another side takes, and the records that it does not. */
export function cutFitting(
  batch: Uint8Array,
  most: { batchBytes: number; messageBytes: number },
): { fitting: Run[]; tooLarge: Run[] } {
  const fitting: Run[] = [];
  const tooLarge: Run[] = [];
  const largest = Math.min(
    most.messageBytes + RECORD_EXTRA_BYTES,
    most.batchBytes,
  );
  let begin = 0;
  let first = 0;
  let index = 0;
  const close = (at: number) => {
    if (at > begin) {
      const bytes = batch.subarray(begin, at);
      fitting.push({ index: first, count: index - first, bytes });
    }
  };
  for (let at = 0; at < batch.length; index++) {
    const end = recordEnd(batch, at);
    const isLarge = end - at > largest;
    if (isLarge || end - begin > most.batchBytes) {
      close(at);
      begin = at;
      first = index;
    }
    if (isLarge) {
      tooLarge.push({ index, count: 1, bytes: batch.subarray(at, end) });
      begin = end;
      first = index + 1;
    }
    at = end;
  }
  close(batch.length);
  return { fitting, tooLarge };
}
