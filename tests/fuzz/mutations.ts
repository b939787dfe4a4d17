/**
 * Frames that are not what they should be: one field changed, or the bytes.
 *
 * @module
 */

import { type CborItem, CborWriter } from "../../protocol/cbor.ts";
import type { Random } from "../helpers/random.ts";
import type { Fields } from "./arbitraries.ts";

const LARGEST = Number.MAX_SAFE_INTEGER;

/** What does not belong into most fields. */
const STRANGE: readonly CborItem[] = [
  null,
  true,
  0,
  1,
  -1,
  -LARGEST,
  LARGEST,
  1.5,
  NaN,
  -0,
  Infinity,
  "",
  "x".repeat(300),
  "x".repeat(5_000),
  "a b\u0000#",
  "\ufeff\u{1f600}",
  new Uint8Array(0),
  new Uint8Array(16),
  new Uint8Array(33).fill(0x5a),
  new Uint8Array(70_000).fill(0x40),
  [],
  [0, LARGEST, 0, LARGEST],
  [1, 2, 3],
  [2, 1, LARGEST, 0],
  [[[[]]]],
  new Map(),
  new Map<string | number, CborItem>([[2, 1], ["a", null]]),
  new Map<string | number, CborItem>([[LARGEST, [new Map()]], [-1, 0]]),
];

/** A frame around a content. */
export function frameOf(content: Uint8Array, length = content.length) {
  const frame = new Uint8Array(5 + content.length);
  frame[0] = 0x5a;
  new DataView(frame.buffer).setUint32(1, length);
  frame.set(content, 5);
  return frame;
}

/** Fields as the content of a frame. */
export function contentOf(fields: Fields): Uint8Array<ArrayBuffer> {
  const writer = new CborWriter(256);
  writer.item(fields);
  return writer.take();
}

/** A message with one thing changed that leaves it a CBOR array. */
export function bendFields(fields: Fields, random: Random): Fields {
  const bent = [...fields];
  const at = random.integer(0, bent.length - 1);
  switch (random.integer(0, 9)) {
    case 0:
      return bent.slice(0, at);
    case 1:
      return [...bent, random.pick(STRANGE)];
    case 2:
      bent[0] = random.integer(0, 40);
      return bent;
    case 3:
      return bent.toSpliced(at, 1);
    case 4:
      return bent.toSpliced(at, 0, random.pick(STRANGE));
    case 5:
      bent[at] = nearly(bent[at], random);
      return bent;
    default:
      if (at > 0) bent[at] = random.pick(STRANGE);
      return bent;
  }
}

/** A number, or one of a list or one byte of many, is another; all else is as it was. */
function nearly(item: CborItem, random: Random): CborItem {
  if (typeof item === "number") return near(item, random);
  if (item instanceof Uint8Array && item.length > 0) {
    const bytes = item.slice();
    bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
    return bytes;
  }
  if (!Array.isArray(item) || item.length === 0) return item;
  const at = random.integer(0, item.length - 1);
  return item.with(at, nearly(item[at], random));
}

function near(value: number, random: Random): number {
  const other = random.pick([
    value + 1,
    value - 1,
    value * 2,
    LARGEST,
    2 ** 32,
  ]);
  return Number.isSafeInteger(other) ? other : LARGEST;
}

/** Bytes that were a content, damaged. */
export function bendContent(content: Uint8Array, random: Random): Uint8Array {
  const bent = content.slice();
  const at = random.integer(0, Math.max(0, bent.length - 1));
  switch (random.integer(0, 5)) {
    case 0:
      return bent.subarray(0, at);
    case 1:
      return Uint8Array.of(...bent.subarray(0, at), 0xff, ...bent.subarray(at));
    case 2:
      return nested(random.integer(6, 12));
    case 3:
      return Uint8Array.of(0x82, 0x11, 0x9a, 0x01, 0xc9, 0xc3, 0x80);
    case 4:
      return randomBytes(random, 40);
    default:
      for (let n = random.integer(1, 3); n > 0; n--) {
        bent[random.integer(0, bent.length - 1)] = random.integer(0, 255);
      }
      return bent;
  }
}

/** Bytes that end a conversation, mostly. */
export function bendFrame(frame: Uint8Array, random: Random): Uint8Array {
  switch (random.integer(0, 4)) {
    case 0:
      return frameOf(frame.subarray(5), 0xffff_ffff);
    case 1:
      return randomBytes(random, 60);
    case 2:
      return frameOf(nested(10_000));
    case 3:
      return frame.subarray(1);
    default:
      return frameOf(bendContent(frame.subarray(5), random));
  }
}

/** Arrays in arrays. */
export function nested(depth: number): Uint8Array {
  return new Uint8Array(depth).fill(0x81);
}

function randomBytes(random: Random, most: number): Uint8Array {
  return Uint8Array.from(
    { length: random.integer(1, most) },
    () => random.integer(0, 255),
  );
}

/** The bytes in pieces of any size. */
export function* cut(
  bytes: Uint8Array,
  random: Random,
): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < bytes.length;) {
    const size = random.chance(0.9)
      ? random.integer(200, 4_000)
      : random.integer(1, 7);
    yield bytes.slice(at, at + size);
    at += size;
  }
}
