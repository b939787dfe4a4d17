/**
 * What the program that is killed appends, so that the test can tell.
 *
 * @module
 */

import { pattern } from "./_support.ts";

/** How many logs it has. */
export const LOGS = 4;

/** The body of the item at an offset. */
export function bodyOf(log: number, offset: number, size?: number): Uint8Array {
  const seed = log * 1_000_003 + offset;
  return pattern(size ?? (seed * 7919) % 3000, seed);
}

/** A log's end as an entry. */
export function encodeEnd(end: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, end);
  return bytes;
}

/** The end in an entry. */
export function decodeEnd(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
}
