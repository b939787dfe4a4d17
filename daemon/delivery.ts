/**
 * A batch on its way to a user of this machine, and its form in the inbox.
 *
 * @module
 */

import {
  type Attributes,
  decodeAttributes,
  encodeAttributes,
} from "../protocol/attributes.ts";
import { splitOffset } from "../protocol/batch.ts";
import { CborReader, CborWriter } from "../protocol/cbor.ts";
import { LIMITS } from "../protocol/limits.ts";

/** Records of one topic with consecutive offsets, for one user. */
export interface Delivery {
  readonly logId: number;
  readonly topic: string;
  readonly base: number;
  readonly count: number;
  readonly position: number;
  readonly time: number;
  readonly sender: string;
  /** Flags of the target (PROTOCOL 6.1). */
  readonly flags: number;
  /** Without `expires`, which is `deadlineMs`. */
  readonly attributes: Attributes;
  /** Wall time of this machine at which it expires, or `null`. */
  readonly deadlineMs: number | null;
  readonly batch: Uint8Array;
}

/** What a delivery takes of a window (PROTOCOL 6.6). */
export function costOf(batchBytes: number): number {
  return batchBytes + LIMITS.deliverOverheadBytes;
}

/** The records `from` to `to` (offsets, `to` not included) of a delivery. */
export function sliceDelivery(
  delivery: Delivery,
  from: number,
  to: number,
): Delivery {
  const { base, count, batch } = delivery;
  if (from === base && to === base + count) return delivery;
  const start = splitOffset(batch, from - base);
  const rest = batch.subarray(start);
  const end = start + splitOffset(rest, to - from);
  return {
    ...delivery,
    base: from,
    count: to - from,
    batch: batch.subarray(start, end),
  };
}

/** All of a delivery but its batch, as bytes. */
export function encodeDeliveryMeta(delivery: Delivery): Uint8Array {
  const writer = new CborWriter(128);
  writer.array(9);
  writer.uint(delivery.logId);
  writer.text(delivery.topic);
  writer.uint(delivery.base);
  writer.uint(delivery.position);
  writer.uint(delivery.time);
  writer.text(delivery.sender);
  writer.uint(delivery.flags);
  writer.item(encodeAttributes(delivery.attributes));
  writer.item(delivery.deadlineMs);
  return writer.take();
}

/** The inverse of {@linkcode encodeDeliveryMeta}. */
export function decodeDeliveryMeta(
  meta: Uint8Array,
  count: number,
  batch: Uint8Array,
): Delivery {
  const fields = new CborReader(meta).readItem() as [
    number,
    string,
    number,
    number,
    number,
    string,
    number,
    Uint8Array | null,
    number | null,
  ];
  const [
    logId,
    topic,
    base,
    position,
    time,
    sender,
    flags,
    attributes,
    deadlineMs,
  ] = fields;
  return {
    logId,
    topic,
    base,
    count,
    position,
    time,
    sender,
    flags,
    attributes: decodeAttributes(attributes),
    deadlineMs,
    batch,
  };
}
