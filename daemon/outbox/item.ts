/**
 * A publish in the outbox: what stands beside its records.
 *
 * @module
 */

import {
  type Attributes,
  decodeAttributes,
  encodeAttributes,
} from "../../protocol/attributes.ts";
import { CborReader, CborWriter } from "../../protocol/cbor.ts";
import type { MomError } from "../../protocol/errors.ts";
import type { Item } from "../../storage/store.ts";
import type { Timeline } from "../../storage/timeline.ts";

/** Records of one producer for one topic, with what PUBLISH says of them. */
export interface OutboxItem {
  readonly producer: Uint8Array;
  readonly topic: string;
  readonly previous: number;
  readonly firstSequence: number;
  readonly count: number;
  /** Without `expires`, which is `deadlineMs`. */
  readonly attributes: Attributes;
  /** When the records expire in this store's steady time, as stored in wall time; or `null`. */
  readonly deadlineMs: number | null;
  readonly batch: Uint8Array;
}

type Fields = [
  producer: Uint8Array,
  topic: string,
  previous: number,
  firstSequence: number,
  attributes: Uint8Array | null,
  deadlineMs: number | null,
];

/** All of an item but its batch, as bytes. */
export function encodeOutboxMeta(
  item: OutboxItem,
  timeline: Timeline,
): Uint8Array {
  return encode(fieldsOf(item, timeline));
}

/** An item that the broker refused for good, with the reason. */
export function encodeDeadMeta(
  item: OutboxItem,
  error: MomError,
  timeline: Timeline,
): Uint8Array {
  return encode([...fieldsOf(item, timeline), error.code, error.message]);
}

function fieldsOf(item: OutboxItem, timeline: Timeline): Fields {
  return [
    item.producer,
    item.topic,
    item.previous,
    item.firstSequence,
    encodeAttributes(item.attributes),
    timeline.toStored(item.deadlineMs),
  ];
}

function encode(fields: unknown[]): Uint8Array {
  const writer = new CborWriter(128);
  writer.item(fields);
  return writer.take();
}

/**
 * The inverse of {@linkcode encodeOutboxMeta}; `batch` are the item's records.
 * Keeps no view on the meta.
 */
export function decodeOutboxMeta(
  { meta, count, position }: Item,
  batch: Uint8Array,
  timeline: Timeline,
): OutboxItem {
  const fields = new CborReader(meta).readItem() as Fields;
  const [producer, topic, previous, firstSequence, attributes, storedMs] =
    fields;
  return {
    producer: producer.slice(),
    topic,
    previous,
    firstSequence,
    count,
    attributes: decodeAttributes(attributes),
    deadlineMs: timeline.fromStored(storedMs, position),
    batch,
  };
}
