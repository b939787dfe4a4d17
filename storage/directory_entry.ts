/**
 * What the directory knows of a journal value: which ranges of which logs it
 * holds, so that opening never reads the messages.
 *
 * ```text
 * length  latest  { log  base  count  bytes  latest - time } …
 * ```
 *
 * @module
 */

import { VARINT_BYTES_MAX, VarintReader, writeVarint } from "./varint.ts";

/** Consecutive offsets of one log in one journal value. */
export interface LogRange {
  /** The log. */
  readonly log: number;
  /** First offset. */
  readonly base: number;
  /** Offset behind the last one. */
  end: number;
  /** Bytes of metas and bodies, blobs included. */
  bytes: number;
  /** Time of the last item, ms. */
  time: number;
}

/** A decoded entry. */
export interface DirectoryEntry {
  /** Size of the journal value. */
  readonly length: number;
  /** What it holds. */
  readonly ranges: LogRange[];
}

/** Writes an entry. */
export function encodeDirectoryEntry(
  length: number,
  ranges: Iterable<LogRange>,
): Uint8Array {
  const list = [...ranges];
  const latest = list.reduce((max, range) => Math.max(max, range.time), 0);
  const bytes = new Uint8Array((2 + 5 * list.length) * VARINT_BYTES_MAX);
  let at = writeVarint(bytes, 0, length);
  at = writeVarint(bytes, at, latest);
  for (const range of list) {
    at = writeVarint(bytes, at, range.log);
    at = writeVarint(bytes, at, range.base);
    at = writeVarint(bytes, at, range.end - range.base);
    at = writeVarint(bytes, at, range.bytes);
    at = writeVarint(bytes, at, latest - range.time);
  }
  return bytes.slice(0, at);
}

/**
 * Reads an entry.
 *
 * @throws {RangeError} when the bytes are none.
 */
export function decodeDirectoryEntry(bytes: Uint8Array): DirectoryEntry {
  const reader = new VarintReader(bytes);
  const length = reader.next();
  const latest = reader.next();
  const ranges: LogRange[] = [];
  while (!reader.isAtEnd) {
    const log = reader.next();
    const base = reader.next();
    const end = base + reader.next();
    ranges.push({
      log,
      base,
      end,
      bytes: reader.next(),
      time: latest - reader.next(),
    });
  }
  return { length, ranges };
}
