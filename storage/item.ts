/**
 * What logs are made of, and how items lie in a journal value:
 *
 * ```text
 * flags  [position time]  log base count  metaLength  bodyLength | blob bytes  meta  body
 * ```
 *
 * All but the flags are varints. `position` and `time` are there when they
 * differ from those of the item before, so that the items of a commit share them.
 *
 * @module
 */

import { VARINT_BYTES_MAX, VarintReader, writeVarint } from "./varint.ts";

/** What was appended. Its byte arrays are views that never change. */
export interface Item {
  /** The log. */
  readonly log: number;
  /** Its first offset. */
  readonly base: number;
  /** How many offsets it takes. */
  readonly count: number;
  /** The commit that holds it; grows over all logs. */
  readonly position: number;
  /** Time of that commit, ms since 1970; never falls within the store. */
  readonly time: number;
  /** The appender's description. */
  readonly meta: Uint8Array;
  /** The content; empty when it is a blob. */
  readonly body: Uint8Array;
  /** Where the content is, if it is not here: see `Store.readBlob`. */
  readonly blob: number | null;
  /** Bytes of the content, wherever it is. */
  readonly bodyBytes: number;
}

/** Offsets whose stored bytes are damaged: they can't be had any more. */
export interface DamagedRange {
  /** The log. */
  readonly log: number;
  /** The first offset. */
  readonly base: number;
  /** How many. */
  readonly count: number;
  /** Tells it from an item. */
  readonly damaged: true;
}

/** One step of reading a log. */
export type ReadResult = Item | DamagedRange;

/** What an item's head tells; the writer's view of an item. */
export interface ItemHead {
  /** The log. */
  readonly log: number;
  /** Its first offset. */
  readonly base: number;
  /** How many offsets it takes. */
  readonly count: number;
  /** The commit that will hold it. */
  readonly position: number;
  /** Time of that commit. */
  readonly time: number;
}

/** A pointer to a body that lies elsewhere. */
export interface BlobPointer {
  /** Its number. */
  readonly id: number;
  /** Its size. */
  readonly bytes: number;
}

/** Most bytes of an item besides `meta` and `body`. */
export const ITEM_HEAD_BYTES_MAX = 1 + 8 * VARINT_BYTES_MAX;

const HAS_COMMIT = 1;
const HAS_BLOB = 2;
const EMPTY = new Uint8Array(0);

/**
 * Writes an item at `at`; there must be room.
 *
 * @param tellCommit Whether position and time differ from the item before.
 * @returns Where the next item goes.
 */
export function writeItem(
  into: Uint8Array,
  at: number,
  head: ItemHead,
  tellCommit: boolean,
  meta: Uint8Array,
  body: Uint8Array | BlobPointer,
): number {
  const inPlace = body instanceof Uint8Array;
  into[at++] = (tellCommit ? HAS_COMMIT : 0) | (inPlace ? 0 : HAS_BLOB);
  if (tellCommit) {
    at = writeVarint(into, at, head.position);
    at = writeVarint(into, at, head.time);
  }
  at = writeVarint(into, at, head.log);
  at = writeVarint(into, at, head.base);
  at = writeVarint(into, at, head.count);
  at = writeVarint(into, at, meta.length);
  if (inPlace) {
    at = writeVarint(into, at, body.length);
  } else {
    at = writeVarint(into, at, body.id);
    at = writeVarint(into, at, body.bytes);
  }
  into.set(meta, at);
  at += meta.length;
  if (!inPlace) return at;
  into.set(body, at);
  return at + body.length;
}

/** Walks over the items of a journal value without making objects of them. */
export class ItemReader {
  /** The log of the current item. */
  log = 0;
  /** Its first offset. */
  base = 0;
  /** How many offsets it takes. */
  count = 0;
  /** The commit that holds it. */
  position = 0;
  /** Time of that commit. */
  time = 0;
  #metaAt = 0;
  #metaLength = 0;
  #bodyBytes = 0;
  #blob: number | null = null;
  readonly #bytes: Uint8Array;
  readonly #reader: VarintReader;

  /** Walks over the items in `bytes` from `at` up to `end`. */
  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#reader = new VarintReader(bytes, at, end);
  }

  /**
   * Goes to the next item.
   *
   * @returns `false` at the end.
   * @throws {RangeError} when the bytes are no items.
   */
  next(): boolean {
    const reader = this.#reader;
    if (reader.isAtEnd) return false;
    const flags = reader.next();
    if (flags > (HAS_COMMIT | HAS_BLOB)) {
      throw new RangeError(`Cannot read item: unknown flags ${flags}`);
    }
    if ((flags & HAS_COMMIT) !== 0) {
      this.position = reader.next();
      this.time = reader.next();
    }
    this.log = reader.next();
    this.base = reader.next();
    this.count = reader.next();
    this.#metaLength = reader.next();
    this.#blob = (flags & HAS_BLOB) === 0 ? null : reader.next();
    this.#bodyBytes = reader.next();
    this.#metaAt = reader.at;
    reader.skip(
      this.#metaLength + (this.#blob === null ? this.#bodyBytes : 0),
    );
    return true;
  }

  /** The current item as an object; its bytes are views. */
  item(): Item {
    const bodyAt = this.#metaAt + this.#metaLength;
    const blob = this.#blob;
    return {
      log: this.log,
      base: this.base,
      count: this.count,
      position: this.position,
      time: this.time,
      meta: this.#bytes.subarray(this.#metaAt, bodyAt),
      body: blob === null
        ? this.#bytes.subarray(bodyAt, bodyAt + this.#bodyBytes)
        : EMPTY,
      blob,
      bodyBytes: this.#bodyBytes,
    };
  }
}
