/**
 * Pages: the folded entries of consecutive keys of one table, in one value. A
 * page that outgrows a value goes on in extra parts; the first part tells which,
 * so that extra parts can be written ahead of it, beside those it still names.
 *
 * ```text
 * part 0     sealed:  extra parts  side  { key  length  bytes } …
 * extra n    sealed:  entries go on …       at part 1 + side + 2 n
 * ```
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";
import type { Change } from "./change_list.ts";
import { type Mutation, pageKey, VALUE_BYTES_MAX } from "./layout.ts";
import { isIntact, seal, SEAL_BYTES, sealCopy } from "./sealed_value.ts";
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from "./varint.ts";

const HEAD_CONTENT_BYTES = VALUE_BYTES_MAX - SEAL_BYTES - VARINT_BYTES_MAX;
const EXTRA_CONTENT_BYTES = VALUE_BYTES_MAX - SEAL_BYTES;

/** Where a page lies. */
export interface PageId {
  /** The table. */
  readonly table: number;
  /** The page: its keys begin at `page` times the table's keys per page. */
  readonly page: number;
}

/** What the first part tells. */
export interface PageHead {
  /** How many extra parts there are. */
  readonly extras: number;
  /** Which of two sets of keys they have. */
  readonly side: 0 | 1;
  /** The first piece of the entries. */
  readonly content: Uint8Array;
}

/** The keys' numbers of a page's extra parts. */
export function extraParts(head: PageHead): number[] {
  return Array.from({ length: head.extras }, (_, n) => 1 + head.side + 2 * n);
}

/**
 * Reads the first part of a page; `null` for a page that is not there.
 *
 * @throws {MomError} `data_damaged`.
 */
export function readPageHead(id: PageId, value: unknown): PageHead | null {
  if (value === null || value === undefined) return null;
  if (!isIntact(value, pageKey(id.table, id.page, 0))) {
    throw pageDamaged(id, 0);
  }
  const reader = new VarintReader(value, SEAL_BYTES);
  const extras = reader.next();
  const side = reader.next() === 0 ? 0 : 1;
  return { extras, side, content: value.subarray(reader.at) };
}

/**
 * Reads a page's entries.
 *
 * @param extras The values of {@link extraParts}, in that order.
 * @throws {MomError} `data_damaged`.
 */
export function readPage(
  id: PageId,
  head: PageHead | null,
  extras: readonly unknown[],
): Map<number, Uint8Array> {
  const entries = new Map<number, Uint8Array>();
  if (head === null) return entries;
  const parts = extraParts(head);
  const pieces = extras.map((value, n) => {
    const key = pageKey(id.table, id.page, parts[n]);
    if (!isIntact(value, key)) throw pageDamaged(id, parts[n]);
    return value.subarray(SEAL_BYTES);
  });
  const reader = new VarintReader(concat([head.content, ...pieces]));
  try {
    while (!reader.isAtEnd) {
      const key = reader.next();
      entries.set(key, reader.bytes(reader.next()));
    }
  } catch (error) {
    throw pageDamaged(id, 0, error);
  }
  return entries;
}

/** Puts changes on top of a page's entries. */
export function mergePage(
  entries: Map<number, Uint8Array>,
  changes: ReadonlyMap<number, Change>,
): void {
  for (const [key, change] of changes) {
    if (change === null) entries.delete(key);
    else entries.set(key, change);
  }
}

/**
 * What to write for a page. Each inner list must be in one commit, and the
 * lists in their order; the page changes with the last one.
 *
 * @param before The head that is there now.
 */
export function writePage(
  id: PageId,
  before: PageHead | null,
  entries: ReadonlyMap<number, Uint8Array>,
): Mutation[][] {
  const content = encodeEntries(entries);
  const rest = Math.max(0, content.length - HEAD_CONTENT_BYTES);
  const side = before !== null && before.side === 0 ? 1 : 0;
  const after: PageHead = {
    extras: Math.ceil(rest / EXTRA_CONTENT_BYTES),
    side,
    content: content.subarray(0, HEAD_CONTENT_BYTES),
  };
  const key = (part: number) => pageKey(id.table, id.page, part);
  const units: Mutation[][] = extraParts(after).map((part, n) => {
    const from = HEAD_CONTENT_BYTES + n * EXTRA_CONTENT_BYTES;
    const piece = content.subarray(from, from + EXTRA_CONTENT_BYTES);
    return [{ key: key(part), value: sealCopy(piece, key(part)) }];
  });
  const value = entries.size === 0 ? null : encodeHead(after, key(0));
  if (value === null && before === null) return units;
  const needless = before === null ? [] : extraParts(before);
  units.push([
    { key: key(0), value },
    ...needless.map((part) => ({ key: key(part), value: null })),
  ]);
  return units;
}

function encodeHead(
  head: PageHead,
  key: readonly (string | number)[],
): Uint8Array {
  const value = new Uint8Array(
    SEAL_BYTES + VARINT_BYTES_MAX + 1 + head.content.length,
  );
  let at = writeVarint(value, SEAL_BYTES, head.extras);
  at = writeVarint(value, at, head.side);
  value.set(head.content, at);
  const sealed = value.subarray(0, at + head.content.length);
  seal(sealed, key);
  return sealed;
}

function encodeEntries(entries: ReadonlyMap<number, Uint8Array>): Uint8Array {
  let size = 0;
  for (const value of entries.values()) {
    size += value.length + 2 * VARINT_BYTES_MAX;
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const [key, value] of entries) {
    at = writeVarint(bytes, at, key);
    at = writeVarint(bytes, at, value.length);
    bytes.set(value, at);
    at += value.length;
  }
  return bytes.subarray(0, at);
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A page that makes no sense. */
export function pageDamaged(
  id: PageId,
  part: number,
  cause?: unknown,
): MomError {
  return new MomError(
    "data_damaged",
    `Cannot read page ${id.page} of table ${id.table}: part ${part} is damaged`,
    { cause },
  );
}
