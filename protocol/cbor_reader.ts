/**
 * Reads the CBOR of frames, strictly: definite lengths, no tags, no simple
 * values but null, true and false, valid UTF-8, integers below 2^53, no
 * duplicate keys, bounded depth, nothing left over. A length is compared with
 * the bytes that are there before anything is made for it.
 *
 * @module
 */

import { readAscii } from "./ascii.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type { CborItem } from "./cbor_writer.ts";

// A byte order mark is a character of the text like any other.
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** How much may come out of few bytes. */
export interface CborBounds {
  /** Elements of all arrays together. */
  readonly elementsMax: number;
  /** Entries of a map. */
  readonly entriesMax: number;
}

/** For what is our own. */
const UNBOUNDED: CborBounds = { elementsMax: Infinity, entriesMax: Infinity };
/** For what others send (PROTOCOL 2.3). */
export const FRAME_BOUNDS: CborBounds = {
  elementsMax: LIMITS.frameElements,
  entriesMax: LIMITS.mapEntries,
};
/** For the few messages that have a long list. */
export const LIST_BOUNDS: CborBounds = {
  elementsMax: LIMITS.listElements,
  entriesMax: LIMITS.mapEntries,
};

/**
 * The fields of a frame's content: one CBOR array and nothing behind it.
 * Byte strings are views on `bytes`; maps are `Map`s.
 *
 * @throws {MomError} `bad_message`, with the byte at which it stops making sense.
 */
export function decodeFrameFields(
  bytes: Uint8Array,
  bounds: CborBounds = UNBOUNDED,
): CborItem[] {
  const reader = new CborReader(bytes, bounds);
  const item = reader.readItem();
  reader.expectEnd();
  if (!Array.isArray(item)) {
    throw new MomError("bad_message", "Cannot read frame: it is no array");
  }
  return item;
}

/** Reads items from one array of bytes, front to back. */
export class CborReader {
  readonly #bytes: Uint8Array;
  readonly #entriesMax: number;
  #elementsLeft: number;
  #at = 0;
  #depth = 0;

  /**
   * @param bytes Is not copied: byte strings that come out are views on it.
   * @param bounds How much may come out.
   */
  constructor(bytes: Uint8Array, bounds: CborBounds = UNBOUNDED) {
    this.#bytes = bytes;
    this.#entriesMax = bounds.entriesMax;
    this.#elementsLeft = bounds.elementsMax;
  }

  /** The byte at which the next item begins. */
  get offset(): number {
    return this.#at;
  }

  /** @throws {MomError} `bad_message` when bytes are left. */
  expectEnd(): void {
    if (this.#at === this.#bytes.length) return;
    throw this.#bad(`${this.#bytes.length - this.#at} bytes are left over`);
  }

  /**
   * The next item.
   *
   * @throws {MomError} `bad_message`.
   */
  readItem(): CborItem {
    if (this.#at >= this.#bytes.length) throw this.#bad("it ends too early");
    const first = this.#bytes[this.#at];
    switch (first >> 5) {
      case 0:
        return this.#readArgument();
      case 1:
        return this.#readNegative();
      case 2:
        return this.#readBytes();
      case 3:
        return this.#readText();
      case 4:
        return this.#readArray();
      case 5:
        return this.#readMap();
      case 6:
        throw this.#bad("a tag");
      default:
        return this.#readSimple(first & 31);
    }
  }

  /** The number in a head; reading goes on behind the head. */
  #readArgument(): number {
    const bytes = this.#bytes;
    const start = this.#at;
    const low = bytes[start] & 31;
    if (low < 24) {
      this.#at = start + 1;
      return low;
    }
    if (low > 27) throw this.#bad("an indefinite length or reserved head");
    const size = 1 << (low - 24);
    if (start + 1 + size > bytes.length) throw this.#bad("it ends too early");
    this.#at = start + 1 + size;
    switch (size) {
      case 1:
        return bytes[start + 1];
      case 2:
        return bytes[start + 1] * 0x100 + bytes[start + 2];
      case 4:
        return this.#uint32(start + 1);
    }
    const value = this.#uint32(start + 1) * 0x100000000 +
      this.#uint32(start + 5);
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    this.#at = start;
    throw this.#bad("a number of 2^53 or more");
  }

  #uint32(at: number): number {
    const bytes = this.#bytes;
    return bytes[at] * 0x1000000 +
      (bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]);
  }

  /** A head's number where at least `unit` bytes must follow for each. */
  #readLength(unit: number): number {
    const start = this.#at;
    const length = this.#readArgument();
    const left = this.#bytes.length - this.#at;
    if (length * unit <= left) return length;
    this.#at = start;
    throw this.#bad(`a length of ${length} where ${left} bytes are left`);
  }

  #readNegative(): number {
    const value = -1 - this.#readArgument();
    if (Number.isSafeInteger(value)) return value;
    throw this.#bad("a number of -2^53 or less");
  }

  #readBytes(): Uint8Array {
    const length = this.#readLength(1);
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  #readText(): string {
    const length = this.#readLength(1);
    const start = this.#at;
    const ascii = readAscii(this.#bytes, start, start + length);
    if (ascii !== null) {
      this.#at = start + length;
      return ascii;
    }
    let text: string;
    try {
      text = textDecoder.decode(this.#bytes.subarray(start, start + length));
    } catch (cause) {
      throw this.#bad("text that is no UTF-8", cause);
    }
    this.#at = start + length;
    return text;
  }

  #readArray(): CborItem[] {
    const count = this.#readLength(1);
    this.#elementsLeft -= count;
    if (this.#elementsLeft < 0) throw this.#bad("too many elements of arrays");
    this.#descend();
    const items: CborItem[] = [];
    for (let i = 0; i < count; i++) items.push(this.readItem());
    this.#depth--;
    return items;
  }

  #readMap(): Map<number | string, CborItem> {
    const count = this.#readLength(2);
    if (count > this.#entriesMax) {
      throw this.#bad(`a map of ${count} entries, at most ${this.#entriesMax}`);
    }
    this.#descend();
    const map = new Map<number | string, CborItem>();
    for (let i = 0; i < count; i++) {
      const start = this.#at;
      const key = this.readItem();
      if (typeof key !== "string" && !Number.isSafeInteger(key)) {
        this.#at = start;
        throw this.#bad("a map key that is no integer or text");
      }
      if (map.has(key as number | string)) {
        this.#at = start;
        throw this.#bad("a map key for the second time");
      }
      map.set(key as number | string, this.readItem());
    }
    this.#depth--;
    return map;
  }

  #descend(): void {
    if (++this.#depth > LIMITS.frameDepth) {
      throw this.#bad(`more than ${LIMITS.frameDepth} levels`);
    }
  }

  #readSimple(low: number): CborItem {
    switch (low) {
      case 20:
      case 21:
        this.#at++;
        return low === 21;
      case 22:
        this.#at++;
        return null;
      case 25:
      case 26:
      case 27:
        return this.#readFloat(1 << (low - 24));
      default:
        throw this.#bad("an undefined, break or reserved simple value");
    }
  }

  #readFloat(size: number): number {
    const bytes = this.#bytes;
    const start = this.#at + 1;
    if (start + size > bytes.length) throw this.#bad("it ends too early");
    this.#at = start + size;
    if (size === 2) return readFloat16(bytes[start], bytes[start + 1]);
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, size);
    return size === 4 ? view.getFloat32(0) : view.getFloat64(0);
  }

  #bad(problem: string, cause?: unknown): MomError {
    return new MomError(
      "bad_message",
      `Cannot read CBOR at byte ${this.#at}: ${problem}`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** The number in a 16-bit float, first byte first. */
export function readFloat16(high: number, low: number): number {
  const exponent = high >> 2 & 31;
  const mantissa = (high & 3) << 8 | low;
  const sign = high > 0x7f ? -1 : 1;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}
