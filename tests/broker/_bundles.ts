/**
 * Bundles of numbers in the order of publishing, and read back into that.
 *
 * @module
 */

import type { Message } from "../../protocol/messages.ts";
import { recordsInOrder } from "../helpers/bundles.ts";
import { numberOf, numbersOf } from "./_records.ts";

/** A record of a bundle. */
export type BundleRecord = readonly [
  topic: string,
  number: number,
  /** @default {9} */
  bytes?: number,
];

/** The numbers of what a message delivers to a user, in the order of publishing. */
export function recordsIn(message: Message, ref: number): number[] {
  if (message.type === "DELIVER") {
    const isMine = message.targets.some((each, i) =>
      i % 2 === 0 && each === ref
    );
    return isMine ? numbersOf(message.batch) : [];
  }
  if (message.type !== "DELIVER_BUNDLE" || !message.refs.includes(ref)) {
    return [];
  }
  return recordsInOrder(message).map(([, content]) => numberOf(content));
}

/** What a message takes of a window (PROTOCOL 6.6, 6.9). */
export function costIn(message: Message): number {
  if (message.type === "DELIVER") return 32 + message.batch.length;
  if (message.type !== "DELIVER_BUNDLE") return 0;
  return 32 * message.topics.length + message.batch.length;
}
