/**
 * A publish in the outbox: what stands beside its records.
 *
 * @module
 */

import {
  type Attributes,
  decodeAttributes,
  encodeAttributes,
} from "../protocol/attributes.ts";
import { CborReader, CborWriter } from "../protocol/cbor.ts";
import type { MomError } from "../protocol/errors.ts";

/** Records of one producer for one topic, with what PUBLISH says of them. */
export interface OutboxItem {
  readonly producer: Uint8Array;
  readonly topic: string;
  readonly previous: number;
  readonly firstSequence: number;
  readonly count: number;
  /** Without `expires`, which is `deadlineMs`. */
  readonly attributes: Attributes;
  /** Wall time of this machine at which the records expire, or `null`. */
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
export function encodeOutboxMeta(item: OutboxItem): Uint8Array {
  return encode(fieldsOf(item));
}

/** An item that the broker refused for good, with the reason. */
export function encodeDeadMeta(item: OutboxItem, error: MomError): Uint8Array {
  return encode([...fieldsOf(item), error.code, error.message]);
}

function fieldsOf(item: OutboxItem): Fields {
  return [
    item.producer,
    item.topic,
    item.previous,
    item.firstSequence,
    encodeAttributes(item.attributes),
    item.deadlineMs,
  ];
}

function encode(fields: unknown[]): Uint8Array {
  const writer = new CborWriter(128);
  writer.item(fields);
  return writer.take();
}

/** The inverse of {@linkcode encodeOutboxMeta}. Keeps no view on `meta`. */
export function decodeOutboxMeta(
  meta: Uint8Array,
  count: number,
  batch: Uint8Array,
): OutboxItem {
  const fields = new CborReader(meta).readItem() as Fields;
  const [producer, topic, previous, firstSequence, attributes, deadlineMs] =
    fields;
  return {
    producer: producer.slice(),
    topic,
    previous,
    firstSequence,
    count,
    attributes: decodeAttributes(attributes),
    deadlineMs,
    batch,
  };
}
