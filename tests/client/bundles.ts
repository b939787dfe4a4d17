/**
 * What a handle sent, record by record, whatever it travelled in.
 *
 * @module
 */

import { forEachRecord } from "../../protocol/batch.ts";
import { publishesOf } from "../../protocol/bundle.ts";
import type { Bundle, Message, Publish } from "../../protocol/messages.ts";
import { decodeRecord } from "../../protocol/record.ts";

/** One record that was published. */
export interface Sent {
  readonly topic: string;
  readonly sequence: number;
  readonly value: unknown;
}

/** Whether a message carries records to be published. */
export function isPublishing(message: Message): message is Publish | Bundle {
  return message.type === "PUBLISH" || message.type === "BUNDLE";
}

/** The parts of a message, and the part of each record in the order of publishing. */
export function partsOf(
  message: Publish | Bundle,
): { parts: Publish[]; order: Uint8Array } {
  return message.type === "PUBLISH"
    ? { parts: [message], order: new Uint8Array(message.count) }
    : { parts: publishesOf(message), order: message.order };
}

/** The records of a message in the order of publishing. */
export function recordsOf(message: Publish | Bundle): Sent[] {
  const { parts, order } = partsOf(message);
  const left = parts.map(({ topic, firstSequence, batch }) => {
    const records: Sent[] = [];
    forEachRecord(batch, (content, index) => {
      const { value } = decodeRecord(content);
      records.push({ topic, sequence: firstSequence + index, value });
    });
    return records;
  });
  return Array.from(order, (part) => left[part].shift()!);
}

/** The records of all messages, in the order in which they left. */
export function recordsOfAll(heard: readonly Message[]): Sent[] {
  return heard.filter(isPublishing).flatMap(recordsOf);
}
