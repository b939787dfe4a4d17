/**
 * Values into CBOR. The plain kinds are written here; arrays, objects, dates
 * and bigints are left to cbor-x, which this file alone talks to. What it
 * writes is plain RFC 8949: no records, no tag but 1 (a date), definite lengths.
 *
 * How a value looks on the wire: a number is an integer of at most 32 bits or a
 * 64-bit float; a bigint is an integer with a 64-bit head, however small; so
 * that a number comes back as a number and a bigint as a bigint.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Encoder } from "../deps/cbor_x.ts";
import { type CborWriter, headBytes } from "./cbor_writer.ts";
import { MomError } from "./errors.ts";
import { checkValue, tooLarge } from "./value_check.ts";

const OPTIONS = {
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  // Without it maps have a two-byte count that wraps at 65,536 keys.
  variableMapSize: true,
};
/** What the encoder can do beyond its declared type; the version is pinned. */
interface PooledEncoder {
  encode(value: unknown, mode: number): Uint8Array;
  /** Gives the memory that all encoders share. */
  useBuffer(memory: Uint8Array): void;
}
const encoder = new Encoder(OPTIONS) as unknown as PooledEncoder;
/** cbor-x makes -0 an integer, and thereby 0, unless all numbers are floats. */
const floatEncoder = new Encoder(
  { ...OPTIONS, alwaysUseFloat: true },
) as unknown as PooledEncoder;

/** Tells cbor-x to use the same memory again at the next call. */
const RESET_BUFFER_MODE = 1024;
/** cbor-x's memory is given back when it has grown beyond this. */
const KEPT_BYTES = 1024 * 1024;
const INITIAL_BYTES = 8 * 1024;

let isEncoding = false;

const UNDEFINED = 0xf7;
/** Integers from minus this up to this (exclusive) have a head of 32 bits at most. */
const INT_RANGE = 2 ** 32;

/** How many bytes `value` will roughly need, for the size of a head before it. */
export function guessValueBytes(value: unknown): number {
  if (typeof value === "string" || value instanceof Uint8Array) {
    return value.length + headBytes(value.length);
  }
  return 16;
}

/**
 * Writes one value.
 *
 * @param writer Where to.
 * @param value Any of the kinds that {@linkcode checkValue} lets pass.
 * @param bytesMax The largest size of a message: the bytes of a `Uint8Array`,
 *   the UTF-8 bytes of a string, the encoded bytes of anything else.
 * @throws {MomError} `value_unsupported`, `message_too_large`. The writer may
 *   hold part of the value then; who calls takes it back.
 */
export function writeValue(
  writer: CborWriter,
  value: unknown,
  bytesMax: number,
): void {
  if (typeof value === "string") return writeString(writer, value, bytesMax);
  if (value instanceof Uint8Array) {
    if (value.length > bytesMax) throw tooLarge(bytesMax, value.length);
    return writer.bytes(value);
  }
  const start = writer.length;
  if (typeof value === "number") writeNumber(writer, value);
  else if (typeof value === "boolean") writer.bool(value);
  else if (value === undefined) writer.rawByte(UNDEFINED);
  else if (value === null) writer.null();
  else writeWithCborX(writer, value, bytesMax);
  const bytes = writer.length - start;
  if (bytes > bytesMax) throw tooLarge(bytesMax, bytes);
}

function writeString(writer: CborWriter, text: string, bytesMax: number): void {
  if (text.length > bytesMax || !text.isWellFormed()) {
    checkValue(text, bytesMax);
  }
  const bytes = writer.text(text);
  if (bytes > bytesMax) throw tooLarge(bytesMax, bytes);
}

function writeNumber(writer: CborWriter, value: number): void {
  const is32Bit = Number.isInteger(value) && value >= -INT_RANGE &&
    value < INT_RANGE && !Object.is(value, -0);
  if (is32Bit) writer.int(value);
  else writer.float(value);
}

function writeWithCborX(
  writer: CborWriter,
  value: unknown,
  bytesMax: number,
): void {
  // Its state is in module variables: a getter in `value` must not call it.
  if (isEncoding) throw unreadable();
  isEncoding = true;
  try {
    const hasNegativeZero = checkValue(value, bytesMax);
    const bytes = (hasNegativeZero ? floatEncoder : encoder)
      .encode(value, RESET_BUFFER_MODE);
    writer.raw(bytes);
    if (bytes.length > KEPT_BYTES) {
      encoder.useBuffer(Buffer.allocUnsafeSlow(INITIAL_BYTES));
    }
  } catch (cause) {
    if (cause instanceof MomError) throw cause;
    throw unreadable(cause);
  } finally {
    isEncoding = false;
  }
}

/** For a getter or proxy that throws, or that gives something else each time. */
function unreadable(cause?: unknown): MomError {
  return new MomError(
    "value_unsupported",
    "Cannot encode message: value has a getter that fails or publishes",
    cause === undefined ? undefined : { cause },
  );
}
