/**
 * Records: one message each, headers and value, as a CBOR byte string whose
 * content is `[headers | null, value]` (PROTOCOL 8.1). Only the two ends, who
 * publishes and who receives, look inside.
 *
 * ```text
 * 46    82     F6    64 d o o r
 * head  array  null  value
 *       of 2
 * ```
 *
 * @module
 */

import { CborReader, CborWriter } from "./cbor.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type { Value } from "./value_check.ts";
import { defineOwn, ValueReader } from "./value_reader.ts";
import { guessValueBytes, writeValue } from "./values.ts";

/** What a header can hold. */
export type HeaderValue = string | number | boolean | Uint8Array;

/** A message's headers. */
export type Headers = Record<string, HeaderValue>;

/** A record as its receiver sees it. */
export interface DecodedRecord {
  /** `null` when the publisher gave none, or an empty object. */
  readonly headers: Headers | null;
  readonly value: Value;
}

const PAIR_HEAD = 0x82;
const NULL = 0xf6;

/**
 * Records one behind the other in one buffer: what becomes a batch.
 *
 * @example
 * ```ts
 * import { RecordBuffer } from "./record.ts";
 * import { countRecords } from "./batch.ts";
 *
 * const buffer = new RecordBuffer();
 * buffer.append("open");
 * buffer.append({ door: 3 }, { urgent: true });
 * if (countRecords(buffer.take()) !== 2) throw new Error();
 * ```
 */
export class RecordBuffer {
  readonly #writer: CborWriter;
  readonly #messageBytesMax: number;
  #count = 0;

  /**
   * @param options `messageBytesMax`: largest size of a message (default 8 MiB);
   *   `capacity`: bytes to begin with (default 1 KiB).
   */
  constructor(options: { messageBytesMax?: number; capacity?: number } = {}) {
    this.#writer = new CborWriter(options.capacity ?? 1024);
    this.#messageBytesMax = options.messageBytesMax ?? LIMITS.messageBytes;
  }

  /** Bytes of all records. */
  get length(): number {
    return this.#writer.length;
  }

  /** How many records there are. */
  get count(): number {
    return this.#count;
  }

  /**
   * Encodes one message behind the others. If that fails nothing is added.
   *
   * @param value Any kind of {@linkcode Value}.
   * @param headers At most 16 KiB as encoded.
   * @returns Bytes of the record, its head included.
   * @throws {MomError} `value_unsupported`, naming the place and kind;
   *   `message_too_large` for the value or the headers.
   */
  append(value: unknown, headers?: Headers | null): number {
    const writer = this.#writer;
    const start = writer.length;
    try {
      const reserved = writer.beginBytes(2 + guessValueBytes(value));
      writer.rawByte(PAIR_HEAD);
      if (headers === undefined || headers === null) writer.rawByte(NULL);
      else writeHeaders(writer, headers);
      writeValue(writer, value, this.#messageBytesMax);
      writer.endBytes(start, reserved);
    } catch (error) {
      writer.reset(start);
      throw error;
    }
    this.#count++;
    return writer.length - start;
  }

  /** Takes the last record out again, which begins at byte `from`; in memory of its own. */
  takeLast(from: number): Uint8Array<ArrayBuffer> {
    const last = this.#writer.view().slice(from);
    this.#writer.reset(from);
    this.#count--;
    return last;
  }

  /** The records as a batch in memory of its own; the buffer is empty afterwards. */
  take(): Uint8Array<ArrayBuffer> {
    this.#count = 0;
    return this.#writer.take();
  }

  /** The same into memory of the caller, as long as {@linkcode RecordBuffer.length}. */
  takeInto(target: Uint8Array): void {
    target.set(this.#writer.view());
    this.clear();
  }

  /** Forgets all records; the memory stays. */
  clear(): void {
    this.#count = 0;
    this.#writer.reset();
  }
}

/**
 * One message as a record, its head included, in memory of its own.
 *
 * @param value Any kind of {@linkcode Value}.
 * @param headers At most 16 KiB as encoded.
 * @param messageBytesMax Largest size of a message.
 * @throws {MomError} `value_unsupported`, `message_too_large`.
 */
export function encodeRecord(
  value: unknown,
  headers?: Headers | null,
  messageBytesMax: number = LIMITS.messageBytes,
): Uint8Array<ArrayBuffer> {
  const capacity = guessValueBytes(value) + 16;
  const buffer = new RecordBuffer({ messageBytesMax, capacity });
  buffer.append(value, headers);
  return buffer.take();
}

/**
 * What is in a record.
 *
 * @param content The record without its head, as `forEachRecord` gives it. What
 *   comes out does not share memory with it.
 * @throws {MomError} `bad_message` for whatever is no record; nothing else.
 */
export function decodeRecord(content: Uint8Array): DecodedRecord {
  // By far most records have a head of one byte and no headers.
  if (content[0] === PAIR_HEAD && content[1] === NULL) {
    return { headers: null, value: readLast(new ValueReader(content, 2)) };
  }
  const reader = new ValueReader(content);
  if (reader.readArrayHead() !== 2) {
    throw badRecord("it is no array of headers and value");
  }
  const { headers, bytes } = readHeaders(content.subarray(reader.offset));
  const value = readLast(new ValueReader(content, reader.offset + bytes));
  return { headers, value };
}

function readLast(reader: ValueReader): Value {
  const value = reader.readValue();
  reader.expectEnd();
  return value;
}

function writeHeaders(writer: CborWriter, headers: Headers): void {
  if (typeof headers !== "object" || Array.isArray(headers)) {
    throw new TypeError(
      `Cannot encode message: headers are no object but ${typeof headers}`,
    );
  }
  const keys = Object.keys(headers);
  if (keys.length === 0) return writer.rawByte(NULL);
  const start = writer.length;
  writer.map(keys.length);
  for (const key of keys) {
    const value = headers[key];
    checkHeader(key, value);
    const rest = LIMITS.headerBytes - (writer.length - start);
    // Before writing, so that a huge header costs nothing.
    if (key.length + lengthOf(value) > rest) throw headersTooLarge();
    writer.text(key);
    writer.item(value);
  }
  if (writer.length - start > LIMITS.headerBytes) throw headersTooLarge();
}

function checkHeader(key: string, value: unknown): void {
  let what: string | null = null;
  if (!key.isWellFormed()) what = "has a lone surrogate in its name";
  else if (typeof value === "string") {
    if (!value.isWellFormed()) what = "is a string with a lone surrogate";
  } else if (value === null) what = "is null";
  else if (
    typeof value !== "number" && typeof value !== "boolean" &&
    !(value instanceof Uint8Array)
  ) what = `is of type ${typeof value}`;
  if (what === null) return;
  throw new MomError(
    "value_unsupported",
    `Cannot encode message: header ${JSON.stringify(key)} ${what}; ` +
      "it can be a string, number, boolean or Uint8Array",
  );
}

function lengthOf(value: HeaderValue): number {
  return typeof value === "string" || value instanceof Uint8Array
    ? value.length
    : 1;
}

function headersTooLarge(): MomError {
  return new MomError(
    "message_too_large",
    `Cannot encode message: headers have more than ${LIMITS.headerBytes} bytes`,
  );
}

function readHeaders(
  bytes: Uint8Array,
): { headers: Headers | null; bytes: number } {
  const reader = new CborReader(bytes);
  const item = reader.readItem();
  if (item === null) return { headers: null, bytes: reader.offset };
  if (!(item instanceof Map)) throw badRecord("headers are no map");
  if (reader.offset > LIMITS.headerBytes) {
    throw badRecord(`headers of ${reader.offset} bytes`);
  }
  // An empty map says no more than none: the two look the same to the receiver.
  if (item.size === 0) return { headers: null, bytes: reader.offset };
  const headers: Headers = {};
  for (const [key, value] of item) {
    if (typeof key !== "string") throw badRecord(`header ${key} is no text`);
    if (value === null || (typeof value === "object" && !isBytes(value))) {
      throw badRecord(`header ${JSON.stringify(key)} is of no kind of header`);
    }
    const own = isBytes(value) ? Uint8Array.from(value) : value;
    defineOwn(headers, key, own);
  }
  return { headers, bytes: reader.offset };
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

function badRecord(problem: string): MomError {
  return new MomError("bad_message", `Cannot read record: ${problem}`);
}
