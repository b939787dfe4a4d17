/**
 * A batch on its way to a user of this machine, and its form in the inbox.
 *
 * @module
 */

import {
  type Attributes,
  decodeAttributes,
  encodeAttributes,
} from "../../protocol/attributes.ts";
import { splitOffset } from "../../protocol/batch.ts";
import { type Ranks, runsOf } from "../../protocol/bundle.ts";
import { CborReader, CborWriter } from "../../protocol/cbor.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { splitPlace } from "../../storage/bundle_place.ts";
import type { Item } from "../../storage/store.ts";
import type { Timeline } from "../../storage/timeline.ts";

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
  /** When it expires in this store's steady time, as stored in wall time; or `null`. */
  readonly deadlineMs: number | null;
  readonly batch: Uint8Array;
  /** The places of its records in the bundle that it came with, if there is one. */
  readonly ranks: Ranks | null;
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
    ranks: delivery.ranks?.subarray(from - base, to - base) ?? null,
  };
}

/** What deliveries take of a window. */
export function costOfAll(deliveries: readonly Delivery[]): number {
  let cost = 0;
  for (const { batch } of deliveries) cost += costOf(batch.length);
  return cost;
}

/** Parts of a bundle as deliveries of their own, run by run in the order of publishing. */
export function runsOfBundle(parts: readonly Delivery[]): Delivery[] {
  const all = parts.map(({ batch, ranks }) => ({
    bytes: batch,
    ranks: ranks!,
  }));
  return runsOf(all).map(({ part, index, count, bytes }) => ({
    ...parts[part],
    base: parts[part].base + index,
    count,
    batch: bytes,
    ranks: null,
  }));
}

/** All of a delivery but its batch, as bytes. */
export function encodeDeliveryMeta(
  delivery: Delivery,
  timeline: Timeline,
): Uint8Array {
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
  writer.item(timeline.toStored(delivery.deadlineMs));
  return writer.take();
}

/** The inverse of {@linkcode encodeDeliveryMeta}; `batch` are the item's records. */
export function decodeDeliveryMeta(
  item: Item,
  batch: Uint8Array,
  timeline: Timeline,
): Delivery {
  const { place, meta } = splitPlace(item.meta);
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
    storedMs,
  ] = fields;
  return {
    logId,
    topic,
    base,
    count: item.count,
    position,
    time,
    sender,
    flags,
    attributes: decodeAttributes(attributes),
    deadlineMs: timeline.fromStored(storedMs, item.position),
    batch,
    ranks: place?.ranks ?? null,
  };
}
