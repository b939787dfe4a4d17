/**
 * The quick way from bytes to text. Nearly all names, keys and values are
 * ASCII; a `TextDecoder` costs some 400 ns a call, whatever the length.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Up to here characters are put together one by one. */
const TINY = 24;
/** From here on the decoder's own speed tells more than the cost of its call. */
const LARGE = 4096;

const fromCodes = String.fromCharCode;

/**
 * The text of `bytes` from `start` to `end` when all of it is ASCII and it is
 * not long, else `null`: a `TextDecoder` is the better way then.
 */
export function readAscii(
  bytes: Uint8Array,
  start: number,
  end: number,
): string | null {
  const length = end - start;
  if (length >= LARGE) return null;
  let all = 0;
  for (let i = start; i < end; i++) all |= bytes[i];
  if (all > 0x7f) return null;
  if (length <= TINY) return join(bytes, start, end);
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, length)
    .toString("latin1");
}

function join(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let i = start;
  for (; i + 4 <= end; i += 4) {
    text += fromCodes(bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]);
  }
  for (; i < end; i++) text += fromCodes(bytes[i]);
  return text;
}
