/**
 * The codec under attack: what is accepted encodes to something that decodes equal,
 * all else is refused with a defined error.
 *
 * @module
 */

import assert from "node:assert/strict";
import { countRecords } from "../../protocol/batch.ts";
import {
  deliveriesOf,
  joined,
  orderOf,
  publishesOf,
  ranksOf,
  runsOf,
} from "../../protocol/bundle.ts";
import { decodeFrameFields } from "../../protocol/cbor.ts";
import { MomError } from "../../protocol/errors.ts";
import { encodeFrame, FrameReader } from "../../protocol/frames.ts";
import {
  boundsOf,
  type Bundle,
  type DeliverBundle,
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
  if (message.type === "BUNDLE" || message.type === "DELIVER_BUNDLE") {
    checkBundle(message);
  }
  const again = readContent(encodeFrame(message).subarray(5));
  assert.deepEqual(again, message);
  return true;
}

/** A bundle is refused, or its parts are all there is, in an order that can be kept. */
function checkBundle(message: Bundle | DeliverBundle): void {
  const parts = partsOf(message);
  if (parts === null) return;
  assert.deepEqual(joined(parts.map(({ batch }) => batch)), message.batch);
  const counts = parts.map(({ count }) => count);
  const ranks = ranksOf(message.order, counts);
  assert.deepEqual(ranks.map(({ length }) => length), counts);
  assert.deepEqual(orderOf(ranks), message.order);
  const isWhole = parts.every(({ batch, count }) => hasRecords(batch, count));
  if (!isWhole) return;
  const pieces = parts.map(({ batch }, i) => ({
    bytes: batch,
    ranks: ranks[i],
  }));
  const left = parts.map(() => 0);
  for (const { part, index, count, isLast } of runsOf(pieces)) {
    assert.equal(index, left[part]);
    left[part] += count;
    assert.equal(isLast, left[part] === counts[part]);
  }
  assert.deepEqual(left, counts);
}

function partsOf(
  message: Bundle | DeliverBundle,
): readonly { readonly batch: Uint8Array; readonly count: number }[] | null {
  try {
    return message.type === "BUNDLE"
      ? publishesOf(message)
      : deliveriesOf(message);
  } catch (error) {
    if (error instanceof MomError && error.code === "bad_message") return null;
    throw error;
  }
}

function hasRecords(batch: Uint8Array, count: number): boolean {
  try {
    return countRecords(batch) === count;
  } catch (error) {
    if (error instanceof MomError) return false;
    throw error;
  }
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
