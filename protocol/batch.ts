/**
 * Batches: records back to back, each a CBOR byte string with a definite
 * length. The middle of the system counts and cuts batches by hopping over the
 * heads; it never looks inside a record and allocates nothing per record.
 *
 * ```text
 * 43 83 F6 01 …   58 64 …   5A 00 01 00 00 …
 * └ head, 3 bytes └ 100     └ 65,536
 * ```
 *
 * @module
 */

import { MomError } from "./errors.ts";

const BYTES = 0x40;

/**
 * How many records a batch has. Walks over the whole batch, so that a batch
 * that was counted can be hopped over without a further check.
 *
 * @throws {MomError} `bad_message` when it is no row of byte strings, or empty.
 */
export function countRecords(batch: Uint8Array): number {
  if (batch.length === 0) throw badBatch(0, "it is empty");
  let count = 0;
  for (let at = 0; at < batch.length; count++) at = recordEnd(batch, at);
  return count;
}

/**
 * Where the record that begins at `offset` ends.
 *
 * @throws {MomError} `bad_message` when no whole record begins there.
 */
export function recordEnd(batch: Uint8Array, offset: number): number {
  const start = contentStart(batch, offset);
  const end = start + contentLength(batch, offset);
  if (end > batch.length) {
    throw badBatch(offset, `a record of ${end - offset} bytes is cut off`);
  }
  return end;
}

/**
 * Where the content of the record that begins at `offset` begins.
 *
 * @throws {MomError} `bad_message` when no record begins there.
 */
export function contentStart(batch: Uint8Array, offset: number): number {
  const low = batch[offset] - BYTES;
  if (low >= 0 && low < 24) return offset + 1;
  if (low >= 24 && low <= 27) {
    const start = offset + 1 + (1 << (low - 24));
    if (start <= batch.length) return start;
  }
  throw badBatch(offset, "no byte string begins here");
}

/**
 * How many bytes lie before the record with index `records`.
 *
 * @throws {MomError} `bad_message` when the batch has fewer records.
 */
export function splitOffset(batch: Uint8Array, records: number): number {
  let at = 0;
  for (let i = 0; i < records; i++) at = recordEnd(batch, at);
  return at;
}

/**
 * Calls `visit` with the content (a view) and index of each record, in order.
 *
 * @throws {MomError} `bad_message` when it comes to bytes that are no record.
 */
export function forEachRecord(
  batch: Uint8Array,
  visit: (content: Uint8Array, index: number) => void,
): void {
  let index = 0;
  for (let at = 0; at < batch.length; index++) {
    const end = recordEnd(batch, at);
    visit(batch.subarray(contentStart(batch, at), end), index);
    at = end;
  }
}

/**
 * The longest row of whole records from the front that fits.
 *
 * @param batch At least one record.
 * @param maxBytes What there is room for. The first record is taken even if
 *   it alone is larger.
 * @returns The length of that row in bytes, and how many records it has.
 * @throws {MomError} `bad_message` when it comes to bytes that are no record.
 */
export function cutBatch(
  batch: Uint8Array,
  maxBytes: number,
): { bytes: number; count: number } {
  let bytes = recordEnd(batch, 0);
  let count = 1;
  while (bytes < batch.length) {
    const end = recordEnd(batch, bytes);
    if (end > maxBytes) break;
    bytes = end;
    count++;
  }
  return { bytes, count };
}

/** Only behind `contentStart`, which has checked the head. */
function contentLength(batch: Uint8Array, at: number): number {
  const low = batch[at] - BYTES;
  if (low < 24) return low;
  if (low === 24) return batch[at + 1];
  if (low === 25) return batch[at + 1] * 0x100 + batch[at + 2];
  if (low === 26) return uint32(batch, at + 1);
  return uint32(batch, at + 1) * 0x100000000 + uint32(batch, at + 5);
}

function uint32(bytes: Uint8Array, at: number): number {
  return bytes[at] * 0x1000000 +
    (bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]);
}

function badBatch(at: number, problem: string): MomError {
  return new MomError(
    "bad_message",
    `Cannot read batch at byte ${at}: ${problem}`,
  );
}
