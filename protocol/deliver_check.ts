/**
 * What a DELIVER must be before anything is done with it (PROTOCOL 6.1, 6.8).
 *
 * @module
 */

import { checkAttributes } from "./attributes.ts";
import { countRecords } from "./batch.ts";
import { MomError } from "./errors.ts";
import type { Deliver } from "./messages.ts";

/** So many missing records are dead letters; more are a lie. */
const MISSING_MAX = 65_536;

/**
 * Refuses offsets that are none, and far more records than the batch can have. How
 * many it has is seen when they are taken.
 *
 * @throws {MomError} `bad_message`.
 */
export function checkOffsets(
  { baseOffset, count, batch }: Omit<Deliver, "targets">,
): void {
  if (baseOffset + count > Number.MAX_SAFE_INTEGER) {
    throw new MomError(
      "bad_message",
      `Cannot take delivery: ${count} records from offset ${baseOffset} on reach beyond 2^53 - 1`,
    );
  }
  if (count <= batch.length + MISSING_MAX) return;
  throw new MomError(
    "bad_message",
    `Cannot take delivery: ${batch.length} bytes are no ${count} records`,
  );
}

/**
 * Refuses what cannot be stored and cut.
 *
 * @throws {MomError} `bad_message`, `unsupported`.
 */
export function checkDeliver(message: Omit<Deliver, "targets">): void {
  checkOffsets(message);
  checkAttributes(message.attributes);
  const has = countRecords(message.batch);
  if (has === message.count) return;
  throw new MomError(
    "bad_message",
    `Cannot take delivery: the batch has ${has} records, not ${message.count}`,
  );
}
