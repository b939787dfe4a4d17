/**
 * Bundles made of records in the order of publishing, and read back into that. By
 * hand: what is tested with it is not to be trusted with it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { forEachRecord } from "../../protocol/batch.ts";
import type { Bundle } from "../../protocol/messages.ts";

/** What a part of a bundle is called. */
export interface PartNumbers {
  readonly request: number;
  /** Sequence of its first record. */
  readonly first: number;
  /** @default {the one before `first`} */
  readonly previous?: number;
}

/** What of a BUNDLE is made of its records. */
export function bundleFields(
  records: readonly (readonly [topic: string, record: Uint8Array])[],
  numbers: (topic: string, count: number) => PartNumbers,
): Pick<Bundle, "topics" | "parts" | "order" | "batch"> {
  const topics = [...new Set(records.map(([topic]) => topic))];
  const batches = topics.map((topic) =>
    records.filter(([each]) => each === topic).map(([, record]) => record)
  );
  return {
    topics,
    parts: topics.flatMap((topic, i) => {
      const count = batches[i].length;
      const { request, first, previous } = numbers(topic, count);
      const bytes = batches[i].reduce((sum, { length }) => sum + length, 0);
      return [request, previous ?? first - 1, first, count, bytes];
    }),
    order: Uint8Array.from(records, ([topic]) => topics.indexOf(topic)),
    batch: Uint8Array.from(batches.flat().flatMap((record) => [...record])),
  };
}

/** The records of a BUNDLE or DELIVER_BUNDLE with their topics, in the order of publishing. */
export function recordsInOrder(
  { topics, parts, order, batch }: Pick<
    Bundle,
    "topics" | "parts" | "order" | "batch"
  >,
): [topic: string, content: Uint8Array][] {
  let at = 0;
  const lists = topics.map((_, i) => {
    const records: Uint8Array[] = [];
    const bytes = parts[5 * i + 4];
    forEachRecord(batch.subarray(at, at += bytes), (content) => {
      records.push(content);
    });
    return records;
  });
  assert.equal(at, batch.length);
  const inOrder = Array.from(
    order,
    (part): [string, Uint8Array] => [topics[part], lists[part].shift()!],
  );
  assert.ok(lists.every((rest) => rest.length === 0), "not all were named");
  return inOrder;
}
