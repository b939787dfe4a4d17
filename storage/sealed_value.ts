/**
 * The frame around every stored value: SQLite has no page checksums, so each
 * value brings its own.
 *
 * ```text
 * 0        4         5
 * | CRC-32 | version | content …
 * ```
 *
 * The CRC (big-endian) covers the value's key, and all that follows it: a value that
 * lies at another key than its own is damaged, too.
 *
 * @module
 */

import { crc32 } from "node:zlib";

/** Bytes in front of the content. */
export const SEAL_BYTES = 5;
/** The version of how contents are laid out. */
const LAYOUT_VERSION = 1;

/** Where a value lies. */
type Key = readonly (string | number)[];

/** Fills in the frame of `value`, whose content is at {@link SEAL_BYTES} and behind. */
export function seal(value: Uint8Array, key: Key): void {
  value[4] = LAYOUT_VERSION;
  const crc = crcOf(value, key);
  value[0] = crc >>> 24;
  value[1] = crc >>> 16;
  value[2] = crc >>> 8;
  value[3] = crc;
}

/** A new sealed value around a copy of `content`. */
export function sealCopy(content: Uint8Array, key: Key): Uint8Array {
  const value = new Uint8Array(SEAL_BYTES + content.length);
  value.set(content, SEAL_BYTES);
  seal(value, key);
  return value;
}

/** Whether `value` is what {@link seal} left behind. */
export function isIntact(value: unknown, key: Key): value is Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < SEAL_BYTES) return false;
  if (value[4] !== LAYOUT_VERSION) return false;
  const told = ((value[0] << 24) | (value[1] << 16) | (value[2] << 8) |
    value[3]) >>> 0;
  return crcOf(value, key) === told;
}

function crcOf(value: Uint8Array, key: Key): number {
  return crc32(value.subarray(4), crc32(key.join(" ")));
}
