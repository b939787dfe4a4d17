/**
 * Bundles: batches of one producer for several topics, published in turn. They
 * travel, are stored and are handed over together, so that each topic has one
 * batch for many records and the order over all of them is kept all the same
 * (PROTOCOL 8.12 and 6.9).
 *
 * ```text
 * published  a1 b1 a2 c1 b2 a3
 * parts      a: a1 a2 a3   b: b1 b2   c: c1
 * order      0 1 0 2 1 0              the part of each record
 * ranks      a: 0 2 5      b: 1 4     c: 3      the same, as a part knows it
 * ```
 *
 * @module
 */

import { encodeAttributes } from "./attributes.ts";
import { recordEnd } from "./batch.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import {
  type Bundle,
  BUNDLE_PART_NUMBERS,
  type Deliver,
  type DeliverBundle,
  type Publish,
} from "./messages.ts";

/** A rank that no record has. */
const NO_PART = 0xff;

/**
 * The place of each record of a part among those of all parts; rises. A record has a
 * byte at least, so those of a bundle fit.
 */
export type Ranks = Uint16Array;

/** A part of a DELIVER_BUNDLE. */
export type DeliveredPart = Omit<Deliver, "targets"> & {
  /** Those of the target, whichever it is. */
  readonly flags: number;
};

/** Records of a part that follow each other without one of another part between. */
export interface BundleRun {
  readonly part: number;
  /** Index of the first record in its part. */
  readonly index: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  /** Whether it is the last of its part. */
  readonly isLast: boolean;
}

/**
 * The parts of a BUNDLE as publishes of their own.
 *
 * @throws {MomError} `bad_message`: the bundle contradicts itself.
 */
export function publishesOf(bundle: Bundle): Publish[] {
  const { topics, parts, producer, attributes, wanted } = bundle;
  checkShape("BUNDLE", bundle);
  const most = LIMITS.bundleAttributesBytes;
  if ((encodeAttributes(attributes)?.length ?? 0) > most) {
    throw bad("BUNDLE", "attributes", `has more than ${most} bytes`);
  }
  if (new Set(topics).size < topics.length) {
    throw bad("BUNDLE", "topics", "names a topic twice");
  }
  let at = 0;
  return topics.map((topic, i) => {
    const [request, previous, firstSequence, count, bytes] = numbersOf(
      parts,
      i,
    );
    const batch = bundle.batch.subarray(at, at += bytes);
    checkRecords(batch);
    return {
      type: "PUBLISH",
      request,
      topic,
      producer,
      previous,
      firstSequence,
      count,
      attributes,
      batch,
      wanted,
    };
  });
}

/**
 * The parts of a DELIVER_BUNDLE as deliveries of their own, for all its users.
 *
 * @throws {MomError} `bad_message`: the bundle contradicts itself.
 */
export function deliveriesOf(bundle: DeliverBundle): DeliveredPart[] {
  const { topics, parts, position, time, sender, attributes } = bundle;
  checkShape("DELIVER_BUNDLE", bundle);
  let at = 0;
  return topics.map((topic, i) => {
    const [logId, baseOffset, count, flags, bytes] = numbersOf(parts, i);
    const batch = bundle.batch.subarray(at, at += bytes);
    return {
      type: "DELIVER",
      logId,
      topic,
      baseOffset,
      count,
      position,
      time,
      sender,
      attributes,
      batch,
      flags,
    };
  });
}

/** Index of the field of a part's numbers that holds its count and its bytes. */
const PLACES = {
  BUNDLE: { count: 3, bytes: 4 },
  DELIVER_BUNDLE: { count: 2, bytes: 4 },
} as const;

function checkShape(
  name: keyof typeof PLACES,
  { topics, parts, order, batch }: Bundle | DeliverBundle,
): void {
  const places = PLACES[name];
  if (parts.length !== topics.length * BUNDLE_PART_NUMBERS) {
    throw bad(name, "parts", `is not of ${topics.length} topics`);
  }
  if (batch.length > LIMITS.bundleBytes) {
    const most = LIMITS.bundleBytes;
    throw bad(name, "batch", `has ${batch.length} bytes, at most ${most}`);
  }
  const counts = new Uint32Array(0x100);
  for (let i = 0; i < order.length; i++) counts[order[i]]++;
  let bytes = 0;
  let records = 0;
  for (let i = 0; i < topics.length; i++) {
    const at = i * BUNDLE_PART_NUMBERS;
    const count = parts[at + places.count];
    if (counts[i] !== count || count === 0) {
      throw bad(name, "order", `does not name part ${i} ${count} times`);
    }
    const size = parts[at + places.bytes];
    // So no place of a record goes beyond what ranks can hold.
    if (count > size) {
      throw bad(
        name,
        "order",
        `names part ${i} ${count} times, of ${size} bytes`,
      );
    }
    records += count;
    bytes += size;
  }
  if (records !== order.length) {
    throw bad(name, "order", "names a part that is not there");
  }
  if (bytes === batch.length) return;
  throw bad(name, "batch", `has ${batch.length} bytes, its parts ${bytes}`);
}

/** What is larger travels alone: it may be no item of the broker's. */
function checkRecords(batch: Uint8Array): void {
  const most = LIMITS.bundledRecordBytes;
  if (batch.length <= most) return;
  for (let at = 0; at < batch.length;) {
    const end = recordEnd(batch, at);
    if (end - at > most) {
      throw bad(
        "BUNDLE",
        "batch",
        `has a record of ${end - at} bytes, at most ${most}`,
      );
    }
    at = end;
  }
}

function numbersOf(parts: readonly number[], part: number): number[] {
  const at = part * BUNDLE_PART_NUMBERS;
  return parts.slice(at, at + BUNDLE_PART_NUMBERS);
}

/** The ranks of each part's records. */
export function ranksOf(
  order: Uint8Array,
  counts: readonly number[],
): Ranks[] {
  const ranks = counts.map((count) => new Uint16Array(count));
  const filled = new Uint32Array(counts.length);
  for (let rank = 0; rank < order.length; rank++) {
    const part = order[rank];
    ranks[part][filled[part]++] = rank;
  }
  return ranks;
}

/** The order of the records of some parts, or of pieces of parts. */
export function orderOf(ranks: readonly Ranks[]): Uint8Array {
  let count = 0;
  let last = 0;
  for (const each of ranks) {
    count += each.length;
    last = Math.max(last, each.at(-1) ?? 0);
  }
  const parts = new Uint8Array(last + 1).fill(NO_PART);
  for (let part = 0; part < ranks.length; part++) {
    const each = ranks[part];
    for (let i = 0; i < each.length; i++) parts[each[i]] = part;
  }
  if (parts.length === count) return parts;
  return parts.filter((part) => part !== NO_PART);
}

/** The runs of some parts, or of pieces of parts, in the order of publishing. */
export function runsOf(
  parts: readonly { readonly bytes: Uint8Array; readonly ranks: Ranks }[],
): BundleRun[] {
  const order = orderOf(parts.map(({ ranks }) => ranks));
  const runs: BundleRun[] = [];
  const taken = parts.map(() => ({ records: 0, bytes: 0 }));
  for (let at = 0; at < order.length;) {
    const part = order[at];
    const from = at;
    const { bytes, ranks } = parts[part];
    const { records, bytes: begin } = taken[part];
    let end = begin;
    for (; at < order.length && order[at] === part; at++) {
      end = recordEnd(bytes, end);
    }
    const count = at - from;
    taken[part] = { records: records + count, bytes: end };
    runs.push({
      part,
      index: records,
      count,
      bytes: bytes.subarray(begin, end),
      isLast: records + count === ranks.length,
    });
  }
  return runs;
}

/** What the place of a record in its bundle may take on a disk. */
const RANK_BYTES_MAX = 3;

/** A part in pieces of so many bytes, with room for the places; as a rule it is one. */
export function cutPart(
  bytes: Uint8Array,
  ranks: Ranks,
  most: number,
): { index: number; count: number; bytes: Uint8Array; ranks: Ranks }[] {
  const pieces = [];
  let begin = 0;
  let first = 0;
  let index = 0;
  for (let at = 0; at < bytes.length; index++) {
    // All of it, unless there is too much.
    const left = bytes.length - begin + (ranks.length - first) * RANK_BYTES_MAX;
    if (left <= most) break;
    const end = recordEnd(bytes, at);
    if (
      index > first && end - begin + (index - first + 1) * RANK_BYTES_MAX > most
    ) {
      pieces.push(pieceOf(bytes, ranks, begin, at, first, index));
      begin = at;
      first = index;
    }
    at = end;
  }
  pieces.push(pieceOf(bytes, ranks, begin, bytes.length, first, ranks.length));
  return pieces;
}

function pieceOf(
  bytes: Uint8Array,
  ranks: Ranks,
  begin: number,
  end: number,
  from: number,
  to: number,
) {
  return {
    index: from,
    count: to - from,
    bytes: bytes.subarray(begin, end),
    ranks: ranks.subarray(from, to),
  };
}

/** What a part takes of its frame at most, beside its records: topic and numbers. */
export function bundlePartBytes(topic: string): number {
  // A character of a string is three bytes of UTF-8 at most, a number nine.
  return 3 * topic.length + 3 + 9 * BUNDLE_PART_NUMBERS;
}

/** Several batches as one: a copy only if they do not lie one behind the other already. */
export function joined(batches: readonly Uint8Array[]): Uint8Array {
  const whole = inOneRow(batches);
  if (whole !== null) return whole;
  const length = batches.reduce((sum, batch) => sum + batch.length, 0);
  const all = new Uint8Array(length);
  let at = 0;
  for (const batch of batches) {
    all.set(batch, at);
    at += batch.length;
  }
  return all;
}

/** Parts that are passed on as they came lie in the frame that they came in. */
function inOneRow(batches: readonly Uint8Array[]): Uint8Array | null {
  const { buffer, byteOffset } = batches[0];
  let end = byteOffset;
  for (const batch of batches) {
    if (batch.buffer !== buffer || batch.byteOffset !== end) return null;
    end += batch.length;
  }
  return new Uint8Array(buffer, byteOffset, end - byteOffset);
}

function bad(message: string, field: string, rule: string): MomError {
  return new MomError(
    "bad_message",
    `Cannot take ${message}: field "${field}" ${rule}`,
  );
}
