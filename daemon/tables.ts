/**
 * The daemon's tables in its store, and how their entries are written. Each entry
 * is a CBOR array; see ARCHITECTURE, "Key layout".
 *
 * @module
 */

import { type CborItem, CborReader, CborWriter } from "../protocol/cbor.ts";

/** Numbers of the tables. */
export const TABLE = {
  /** Key 1: `[machine, outbox log, dead-letter log, broker's epoch, own epoch]`. */
  daemon: 1,
  /** User key: `[name, named, incarnation, broker's incarnation, handle, suspect, inbox log, inbox position, epoch, subscribed epoch]`. */
  users: 2,
  /** Mark key: `[user key, log id, custody, delivered, expired, undecodable, schema, damaged, trimmed]`. */
  marks: 3,
  /** Stream key: `[producer, topic, stored last, user]`. */
  streams: 4,
  /** Destroy key: `[name, incarnation, done]`. */
  destroys: 5,
  /** Subscription key: `[user key, filter, manual, echo, ended]`. */
  subscriptions: 6,
} as const;

/** An entry as bytes. */
export function encodeEntry(fields: readonly CborItem[]): Uint8Array {
  const writer = new CborWriter(64);
  writer.item(fields);
  return writer.take();
}

/** The fields of an entry. */
export function decodeEntry<T extends readonly CborItem[]>(
  bytes: Uint8Array,
): T {
  return new CborReader(bytes).readItem() as unknown as T;
}
