/**
 * The small state's changes of one commit: what was put and deleted, by table
 * and key, and the counters. One value (or a few parts) per commit.
 *
 * ```text
 * list    position  counters ×4  { table  key  length+1 | 0 = deleted  bytes } …
 * part 0  sealed:  position  parts  bytes of the list …
 * part n  sealed:  position  bytes of the list …
 * ```
 *
 * @module
 */

import {
  changesKey,
  type Counters,
  type Mutation,
  VALUE_BYTES_MAX,
} from "./layout.ts";
import { seal, SEAL_BYTES } from "./sealed_value.ts";
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from "./varint.ts";

/** A value to be, or `null` for none. */
export type Change = Uint8Array | null;

const ENTRY_HEAD_BYTES_MAX = 1 + 2 * VARINT_BYTES_MAX;
const HEADER_BYTES_MAX = 5 * VARINT_BYTES_MAX;
const PART_CONTENT_BYTES = VALUE_BYTES_MAX - SEAL_BYTES - 2 * VARINT_BYTES_MAX;

/** What one commit changes; the last change of a key counts. */
export class ChangeSet {
  /** Table → key → change. */
  readonly tables: Map<number, Map<number, Change>> = new Map();
  /** How large the list may get. */
  #bytes = 0;

  /** Whether nothing changed. */
  get isEmpty(): boolean {
    return this.tables.size === 0;
  }

  /** Upper bound of the encoded size. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Notes a change. */
  set(table: number, key: number, change: Change): void {
    let entries = this.tables.get(table);
    if (entries === undefined) {
      entries = new Map();
      this.tables.set(table, entries);
    }
    const before = entries.get(key);
    this.#bytes += change === null ? 0 : change.length;
    if (before === undefined) this.#bytes += ENTRY_HEAD_BYTES_MAX;
    else if (before !== null) this.#bytes -= before.length;
    entries.set(key, change);
  }

  /** Puts what `later` changed on top. */
  merge(later: ChangeSet): void {
    for (const [table, entries] of later.tables) {
      for (const [key, change] of entries) this.set(table, key, change);
    }
  }
}

/** A decoded list. */
export interface ChangeList {
  /** Its commit. */
  readonly position: number;
  /** The counters as of that commit. */
  readonly counters: Counters;
  /** The changes. */
  readonly changes: ChangeSet;
  /** Encoded size. */
  readonly bytes: number;
}

/** Writes a list. */
export function encodeChangeList(
  position: number,
  counters: Counters,
  changes: ChangeSet,
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES_MAX + changes.bytes);
  let at = writeVarint(bytes, 0, position);
  at = writeVarint(bytes, at, counters.time);
  at = writeVarint(bytes, at, counters.nextLog);
  at = writeVarint(bytes, at, counters.nextSeq);
  at = writeVarint(bytes, at, counters.nextBlob);
  for (const [table, entries] of changes.tables) {
    for (const [key, change] of entries) {
      bytes[at++] = table;
      at = writeVarint(bytes, at, key);
      at = writeVarint(bytes, at, change === null ? 0 : change.length + 1);
      if (change === null) continue;
      bytes.set(change, at);
      at += change.length;
    }
  }
  return bytes.subarray(0, at);
}

/**
 * Reads a list.
 *
 * @throws {RangeError} when the bytes are none.
 */
export function decodeChangeList(bytes: Uint8Array): ChangeList {
  const reader = new VarintReader(bytes);
  const position = reader.next();
  const counters = {
    time: reader.next(),
    nextLog: reader.next(),
    nextSeq: reader.next(),
    nextBlob: reader.next(),
  };
  const changes = new ChangeSet();
  while (!reader.isAtEnd) {
    const table = reader.next();
    const key = reader.next();
    const length = reader.next();
    changes.set(table, key, length === 0 ? null : reader.bytes(length - 1));
  }
  return { position, counters, changes, bytes: bytes.length };
}

/** Cuts a list into the values that are stored; part 0 makes it valid and is to be written last. */
export function changeListParts(
  position: number,
  list: Uint8Array,
): Mutation[] {
  const count = Math.max(1, Math.ceil(list.length / PART_CONTENT_BYTES));
  const parts: Mutation[] = [];
  for (let part = 0; part < count; part++) {
    const from = part * PART_CONTENT_BYTES;
    const content = list.subarray(from, from + PART_CONTENT_BYTES);
    const value = new Uint8Array(
      SEAL_BYTES + 2 * VARINT_BYTES_MAX + content.length,
    );
    let at = writeVarint(value, SEAL_BYTES, position);
    if (part === 0) at = writeVarint(value, at, count);
    value.set(content, at);
    const sealed = value.subarray(0, at + content.length);
    const key = changesKey(position, part);
    seal(sealed, key);
    parts.push({ key, value: sealed });
  }
  return parts;
}

/** The front of a stored part. */
export interface ChangeListPart {
  /** The commit it belongs to. */
  readonly position: number;
  /** How many parts there are; 0 in all but the first. */
  readonly parts: number;
  /** Its piece of the list. */
  readonly content: Uint8Array;
}

/** Reads a stored part whose seal is intact. */
export function readChangeListPart(
  value: Uint8Array,
  part: number,
): ChangeListPart {
  const reader = new VarintReader(value, SEAL_BYTES);
  const position = reader.next();
  const parts = part === 0 ? reader.next() : 0;
  return { position, parts, content: value.subarray(reader.at) };
}
