/**
 * The codec under attack: what is accepted encodes to something that decodes equal,
 * all else is refused with a defined error.
 *
 * @module
 */

import assert from "node:assert/strict";
import { decodeFrameFields } from "../../protocol/cbor.ts";
import { MomError } from "../../protocol/errors.ts";
import { encodeFrame, FrameReader } from "../../protocol/frames.ts";
import {
  boundsOf,
  type Message,
  parseMessage,
} from "../../protocol/messages.ts";
import type { Random } from "../helpers/random.ts";
import { cut, frameOf } from "./mutations.ts";

const REFUSALS: readonly string[] = ["bad_frame", "bad_message", "unsupported"];

/** The message in a frame's content, or `null` when it is refused as it should be. */
export function readContent(content: Uint8Array): Message | null {
  try {
    return parseMessage(decodeFrameFields(content, boundsOf(content)));
  } catch (error) {
    if (error instanceof MomError && REFUSALS.includes(error.code)) return null;
    throw error;
  }
}

/**
 * Reads a content; what is accepted must survive being sent on.
 *
 * @returns Whether it was accepted.
 */
export function checkContent(content: Uint8Array): boolean {
  const message = readContent(content);
  if (message === null) return false;
  const again = readContent(encodeFrame(message).subarray(5));
  assert.deepEqual(again, message);
  return true;
}

/** Frames come out of a stream as they went in, however it is cut. */
export function checkCutting(
  contents: readonly Uint8Array[],
  random: Random,
): void {
  const stream = joinBytes(contents.map((content) => frameOf(content)));
  const reader = new FrameReader(stream.length);
  const out: Uint8Array[] = [];
  for (const chunk of cut(stream, random)) {
    reader.push(chunk);
    for (let next = reader.next(); next !== null; next = reader.next()) {
      out.push(next);
    }
  }
  assert.deepEqual(joinBytes(out), joinBytes(contents));
  assert.equal(out.length, contents.length);
}

/** Arrays of bytes, one behind the other. */
export function joinBytes(
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
