/**
 * Writes CBOR heads and items into one buffer that grows and can be used again.
 * Always the shortest head; integers stay below 2^53.
 *
 * @module
 */

/** What a frame's fields can hold. */
export type CborItem =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly CborItem[]
  | ReadonlyMap<number | string, CborItem>;

const UINT = 0x00;
const NEGATIVE = 0x20;
const BYTES = 0x40;
const TEXT = 0x60;
const ARRAY = 0x80;
const MAP = 0xa0;
/** The longest head. */
const HEAD_BYTES_MAX = 9;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;
const FLOAT64 = 0xfb;

/** Up to here a loop over the characters beats the encoder's call. */
const SHORT_TEXT = 40;

/** A buffer that holds as much is not copied when taken. */
const LARGE = 64 * 1024;

const textEncoder = new TextEncoder();
const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * A growing buffer of CBOR.
 *
 * @example
 * ```ts
 * import { CborWriter, decodeFrameFields } from "./cbor.ts";
 *
 * const writer = new CborWriter();
 * writer.array(2);
 * writer.uint(6);
 * writer.text("museum/doors");
 * const fields = decodeFrameFields(writer.take());
 * if (fields[1] !== "museum/doors") throw new Error();
 * ```
 */
export class CborWriter {
  #buffer: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** @param capacity Bytes to begin with; the buffer doubles when full. */
  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity);
  }

  /** How many bytes have been written. */
  get length(): number {
    return this.#length;
  }

  /** Forgets what was written, or all behind `length`; the memory stays. */
  reset(length = 0): void {
    if (length < 0 || length > this.#length) {
      throw new RangeError(
        `Cannot reset writer: ${length} is not within ${this.#length}`,
      );
    }
    this.#length = length;
  }

  /** What was written, as a view: good until the next write. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  /**
   * What was written, in memory of its own; the writer is empty afterwards. A
   * large buffer that is well used is given away instead of copied.
   */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.view();
    this.#length = 0;
    if (bytes.length < LARGE || bytes.length * 2 < this.#buffer.length) {
      return bytes.slice();
    }
    this.#buffer = new Uint8Array(LARGE);
    return bytes;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    this.#grow(this.#length + count, this.#length);
  }

  /** Bytes as they are, without a head. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** One byte as it is. */
  rawByte(byte: number): void {
    this.reserve(1);
    this.#buffer[this.#length++] = byte;
  }

  /** Four bytes, big-endian, as they are. */
  rawUint32(value: number): void {
    this.reserve(4);
    this.#putUint32(this.#length, value);
    this.#length += 4;
  }

  /** Writes four bytes, big-endian, over what stands at `at`. */
  patchUint32(at: number, value: number): void {
    if (at < 0 || at + 4 > this.#length) {
      throw new RangeError(
        `Cannot patch at ${at}: only ${this.#length} bytes are written`,
      );
    }
    this.#putUint32(at, value);
  }

  /**
   * Leaves room for the head of a byte string whose length is not known yet.
   * {@linkcode endBytes} fills it in, with what `beginBytes` returned.
   *
   * @param expected What the length will probably be. If the head needs another
   *   size in the end, the content moves.
   * @returns How much room was left.
   */
  beginBytes(expected: number): number {
    const reserved = headBytes(expected);
    this.reserve(reserved);
    this.#length += reserved;
    return reserved;
  }

  /**
   * Makes what was written since {@linkcode beginBytes} a byte string.
   *
   * @param start The length that the writer had before `beginBytes`.
   * @param reserved What `beginBytes` returned.
   */
  endBytes(start: number, reserved: number): void {
    this.#putLengthHead(BYTES, start, reserved);
  }

  /** An integer from 0 to 2^53 - 1. */
  uint(value: number): void {
    if (value < 0 || !Number.isSafeInteger(value)) throw badInteger(value);
    this.#writeHead(UINT, value);
  }

  /** An integer from -(2^53 - 1) to 2^53 - 1. */
  int(value: number): void {
    if (!Number.isSafeInteger(value)) throw badInteger(value);
    if (value < 0) this.#writeHead(NEGATIVE, -1 - value);
    else this.#writeHead(UINT, value);
  }

  /** A 64-bit float, also for what is an integer. */
  float(value: number): void {
    this.reserve(9);
    double[0] = value;
    this.#buffer[this.#length++] = FLOAT64;
    for (let i = 0; i < 8; i++) {
      this.#buffer[this.#length++] = doubleBytes[IS_LITTLE_ENDIAN ? 7 - i : i];
    }
  }

  /** A byte string: head and content. */
  bytes(bytes: Uint8Array): void {
    this.#writeHead(BYTES, bytes.length);
    this.raw(bytes);
  }

  /** The head of a byte string whose `length` bytes the caller writes next. */
  bytesHead(length: number): void {
    this.#writeHead(BYTES, length);
  }

  /**
   * A text string; a lone surrogate becomes U+FFFD.
   *
   * @returns How many bytes it has as UTF-8, without the head.
   */
  text(text: string): number {
    if (text.length <= SHORT_TEXT && this.#writeAscii(text)) return text.length;
    return this.#writeLongText(text);
  }

  /** The head of an array; the caller writes its `count` items next. */
  array(count: number): void {
    this.#writeHead(ARRAY, count);
  }

  /** The head of a map; the caller writes its `count` keys and values next. */
  map(count: number): void {
    this.#writeHead(MAP, count);
  }

  /** null. */
  null(): void {
    this.rawByte(NULL);
  }

  /** true or false. */
  bool(value: boolean): void {
    this.rawByte(value ? TRUE : FALSE);
  }

  /**
   * Any item of a frame. Numbers that are safe integers become integers, all
   * others (and -0) 64-bit floats.
   *
   * @throws {TypeError} For a value that is no {@linkcode CborItem}.
   */
  item(item: unknown): void {
    if (typeof item === "number") {
      if (Number.isSafeInteger(item) && !Object.is(item, -0)) {
        this.int(item);
      } else this.float(item);
    } else if (typeof item === "string") this.text(item);
    else if (item === null) this.null();
    else if (typeof item === "boolean") this.bool(item);
    else if (item instanceof Uint8Array) this.bytes(item);
    else if (Array.isArray(item)) {
      this.array(item.length);
      for (const inner of item) this.item(inner);
    } else if (item instanceof Map) {
      this.map(item.size);
      for (const [key, inner] of item) {
        this.item(key);
        this.item(inner);
      }
    } else {
      throw new TypeError(`Cannot write CBOR: unexpected ${typeof item}`);
    }
  }

  #writeHead(major: number, value: number): void {
    this.reserve(9);
    const buffer = this.#buffer;
    if (value < 24) {
      buffer[this.#length++] = major | value;
    } else if (value < 0x100) {
      buffer[this.#length++] = major | 24;
      buffer[this.#length++] = value;
    } else if (value < 0x10000) {
      buffer[this.#length++] = major | 25;
      buffer[this.#length++] = value >>> 8;
      buffer[this.#length++] = value;
    } else if (value < 0x100000000) {
      buffer[this.#length++] = major | 26;
      this.#putUint32(this.#length, value);
      this.#length += 4;
    } else {
      buffer[this.#length++] = major | 27;
      this.#putUint32(this.#length, Math.floor(value / 0x100000000));
      this.#putUint32(this.#length + 4, value);
      this.#length += 8;
    }
  }

  #putUint32(at: number, value: number): void {
    const buffer = this.#buffer;
    buffer[at] = value >>> 24;
    buffer[at + 1] = value >>> 16;
    buffer[at + 2] = value >>> 8;
    buffer[at + 3] = value;
  }

  /** Whether `text` (at most 40 characters) was ASCII and is written. */
  #writeAscii(text: string): boolean {
    this.reserve(text.length + 2);
    const start = this.#length;
    this.#writeHead(TEXT, text.length);
    const buffer = this.#buffer;
    let at = this.#length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) {
        this.#length = start;
        return false;
      }
      buffer[at++] = code;
    }
    this.#length = at;
    return true;
  }

  #writeLongText(text: string): number {
    // The text goes where it belongs if UTF-8 needs as long a head as the number
    // of characters does; else it moves. Most text is ASCII: room for three
    // bytes a character is made only for what is left when it turns out not to be.
    const guessed = headBytes(text.length);
    this.reserve(guessed + text.length);
    const room = this.#buffer.subarray(this.#length + guessed);
    let { read, written } = textEncoder.encodeInto(text, room);
    if (read < text.length) {
      const rest = text.slice(read);
      const done = this.#length + guessed + written;
      this.#grow(done + rest.length * 3, done);
      written +=
        textEncoder.encodeInto(rest, this.#buffer.subarray(done)).written;
    }
    const start = this.#length;
    this.#length += guessed + written;
    this.#putLengthHead(TEXT, start, guessed);
    return written;
  }

  /** Writes the head for what was laid behind `start` and the room for it. */
  #putLengthHead(major: number, start: number, reserved: number): void {
    // Before the length steps back: growing behind it would leave the content.
    this.reserve(HEAD_BYTES_MAX);
    const length = this.#length - start - reserved;
    const needed = headBytes(length);
    if (needed !== reserved) {
      this.#buffer.copyWithin(
        start + needed,
        start + reserved,
        start + reserved + length,
      );
    }
    this.#length = start;
    this.#writeHead(major, length);
    this.#length += length;
  }

  /** Makes the buffer `needed` bytes long at least; `used` of it are kept. */
  #grow(needed: number, used: number): void {
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, used));
    this.#buffer = grown;
  }
}

/** How many bytes the shortest head has that holds `value` (a length, say). */
export function headBytes(value: number): number {
  if (value < 24) return 1;
  if (value < 0x100) return 2;
  if (value < 0x10000) return 3;
  return value < 0x100000000 ? 5 : 9;
}

function badInteger(value: number): RangeError {
  return new RangeError(
    `Cannot write CBOR integer: ${value} is no integer below 2^53`,
  );
}
