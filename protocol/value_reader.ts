/**
 * CBOR into values, strictly: what a stranger may have put into a record. Only
 * the kinds that a message carries, definite lengths, valid UTF-8, text keys
 * that occur once, depth of at most 64, and no length believed before the bytes
 * are seen to be there. Reads in one pass; what comes out shares no memory with
 * what went in, apart from small byte strings that share a slab of 8 KiB with
 * each other.
 *
 * cbor-x would also decode all this, but takes broken UTF-8, duplicate keys
 * and stray breaks, renames `__proto__`, drops a byte order mark at the
 * beginning of long texts, and makes whatever unknown tags call for.
 *
 * @module
 */

import { readAscii } from "./ascii.ts";
import { readFloat16 } from "./cbor_reader.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type { Value } from "./value_check.ts";

const DATE_TAG = 1;
/** The furthest that a `Date` can be from 1970, in milliseconds. */
const DATE_MAX_MS = 8.64e15;

// A byte order mark is a character of the text like any other.
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads values from one array of bytes, front to back. */
export class ValueReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #view: DataView | null = null;

  /**
   * @param bytes Is not copied.
   * @param offset Where to begin.
   */
  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#at = offset;
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
   * The next value.
   *
   * @param depth How many arrays and objects it lies in.
   * @throws {MomError} `bad_message`, with the byte at which it makes no sense.
   */
  readValue(depth = 0): Value {
    if (this.#at >= this.#bytes.length) throw this.#bad("it ends too early");
    const first = this.#bytes[this.#at];
    switch (first >> 5) {
      case 0:
        return first < 0x1b ? this.#readArgument() : this.#readBigint();
      case 1:
        return first < 0x3b ? -1 - this.#readArgument() : -1n -
          this.#readBigint();
      case 2:
        return this.#readBytes();
      case 3:
        return this.#readText();
      case 4:
        return this.#readArray(depth + 1);
      case 5:
        return this.#readObject(depth + 1);
      case 6:
        return this.#readDate();
      default:
        return this.#readSimple(first & 31);
    }
  }

  /** How many items the array has whose head comes next. */
  readArrayHead(): number {
    if (this.#bytes[this.#at] >> 5 !== 4) throw this.#bad("no array");
    return this.#readLength(1);
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
    const end = start + 1 + (1 << (low - 24));
    if (end > bytes.length) throw this.#bad("it ends too early");
    let value = 0;
    for (let i = start + 1; i < end; i++) value = value * 0x100 + bytes[i];
    this.#at = end;
    return value;
  }

  #readBigint(): bigint {
    const start = this.#at;
    if (this.#bytes[start] & 4) throw this.#bad("an integer of no known size");
    if (start + 9 > this.#bytes.length) throw this.#bad("it ends too early");
    this.#at = start + 9;
    return this.#data().getBigUint64(start + 1);
  }

  #data(): DataView {
    const bytes = this.#bytes;
    return this.#view ??= new DataView(
      bytes.buffer,
      bytes.byteOffset,
      bytes.length,
    );
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

  #readBytes(): Uint8Array {
    const length = this.#readLength(1);
    const start = this.#at;
    this.#at += length;
    return copyBytes(this.#bytes, start, this.#at);
  }

  #readText(): string {
    const length = this.#readLength(1);
    const start = this.#at;
    this.#at += length;
    const ascii = readAscii(this.#bytes, start, this.#at);
    if (ascii !== null) return ascii;
    try {
      return textDecoder.decode(this.#bytes.subarray(start, this.#at));
    } catch (cause) {
      this.#at = start;
      throw this.#bad("text that is no UTF-8", cause);
    }
  }

  #readArray(depth: number): Value[] {
    this.#checkDepth(depth);
    const count = this.#readLength(1);
    const items: Value[] = [];
    for (let i = 0; i < count; i++) items.push(this.readValue(depth));
    return items;
  }

  #readObject(depth: number): { [key: string]: Value } {
    this.#checkDepth(depth);
    const count = this.#readLength(2);
    const object: { [key: string]: Value } = {};
    for (let i = 0; i < count; i++) {
      const start = this.#at;
      if (this.#bytes[start] >> 5 !== 3) {
        throw this.#bad("a key that is no text");
      }
      const key = this.#readText();
      // What every object inherits is no duplicate, but `in` is the quick test.
      if (key in object) {
        if (Object.hasOwn(object, key)) {
          this.#at = start;
          throw this.#bad("a key for the second time");
        }
        defineOwn(object, key, this.readValue(depth));
      } else object[key] = this.readValue(depth);
    }
    return object;
  }

  #checkDepth(depth: number): void {
    if (depth > LIMITS.valueDepth) {
      throw this.#bad(`more than ${LIMITS.valueDepth} levels`);
    }
  }

  #readDate(): Date {
    const start = this.#at;
    const tag = this.#readArgument();
    const major = tag === DATE_TAG ? this.#bytes[this.#at] >> 5 : -1;
    if (major === 0 || major === 1 || major === 7) {
      const seconds = this.readValue(LIMITS.valueDepth);
      if (typeof seconds === "number" || typeof seconds === "bigint") {
        const ms = toMs(Number(seconds));
        if (Math.abs(ms) <= DATE_MAX_MS) return new Date(ms);
      }
    }
    this.#at = start;
    throw this.#bad(`tag ${tag} with what is no date`);
  }

  #readSimple(low: number): Value {
    switch (low) {
      case 20:
      case 21:
        this.#at++;
        return low === 21;
      case 22:
        this.#at++;
        return null;
      case 23:
        this.#at++;
        return undefined;
      case 25:
      case 26:
      case 27:
        return this.#readFloat(1 << (low - 24));
      default:
        throw this.#bad("a break or a simple value without meaning");
    }
  }

  #readFloat(size: number): number {
    const start = this.#at + 1;
    if (start + size > this.#bytes.length) throw this.#bad("it ends too early");
    this.#at = start + size;
    if (size === 2) {
      return readFloat16(this.#bytes[start], this.#bytes[start + 1]);
    }
    const view = this.#data();
    return size === 4 ? view.getFloat32(start) : view.getFloat64(start);
  }

  #bad(problem: string, cause?: unknown): MomError {
    return new MomError(
      "bad_message",
      `Cannot read value at byte ${this.#at}: ${problem}`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** Sets an own property, also one called `__proto__`. */
export function defineOwn(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  });
}

/** Seconds to milliseconds; exact for every `Date`, which a plain product is not. */
function toMs(seconds: number): number {
  const whole = Math.floor(seconds);
  return whole * 1000 + Math.round((seconds - whole) * 1000);
}

const SLAB_BYTES = 8 * 1024;
/** From here on the copy itself takes longer than memory of its own does. */
const SLAB_VALUE_MAX = 512;
let slab = new Uint8Array(0);
let slabUsed = 0;

/**
 * A copy that the receiver may keep, write and hand on without touching the
 * bytes that other receivers, or the store, have before them. A small array of
 * its own takes ten times as long to make as a piece of a common slab.
 */
function copyBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array {
  const length = end - start;
  if (length > SLAB_VALUE_MAX) {
    return Uint8Array.prototype.slice.call(bytes, start, end);
  }
  if (slabUsed + length > slab.length) {
    // Also when an app transferred a value's buffer: its length is 0 then.
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const copy = slab.subarray(slabUsed, slabUsed + length);
  slabUsed += length;
  copy.set(bytes.subarray(start, end));
  return copy;
}
