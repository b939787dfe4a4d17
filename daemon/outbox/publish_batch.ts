/**
 * A batch on its way to the broker: what goes with it, and its parts where not all
 * of it can go.
 *
 * @module
 */

import type { Ranks } from "../../protocol/bundle.ts";
import type { OutboxItem } from "./item.ts";
import type { PublishStream } from "./publish_stream.ts";
import type { Waiter } from "./publish_waiter.ts";
import type { PendingBatch } from "../stream.ts";

/** Which records of a stream. */
export interface Sequences {
  readonly firstSequence: number;
  readonly count: number;
}

/** What goes with a batch on its way to the broker. */
export interface BatchTag {
  waiters: Waiter[];
  /** What its app said of `previous`. */
  readonly previous: number;
  /** Rises with every batch that came from an app: their order over all topics. */
  readonly order: number;
  /** The same for all parts of a bundle; 0: it belongs to none. */
  readonly bundle: number;
  /** The places of its records in the bundle. */
  readonly ranks: Ranks | null;
  /** When it expires in this store's steady time, or `null`. */
  readonly deadlineMs: number | null;
  /** Whether it goes, or has gone, to the outbox. */
  isStored: boolean;
  /** Where its pieces lie in the outbox's log. */
  stored: Ranges;
  /** Whether it has left its sender with the link: the next drain finds it. */
  isDetached: boolean;
  /** Whether the broker has it, or refused it for good. */
  isDone: boolean;
}

/** A batch without a final answer. */
export type TaggedBatch = PendingBatch<BatchTag>;

/** A part of a batch: `index` is that of its first record. */
export interface BatchPart {
  readonly index: number;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** What of an app's publish is not known here. */
export interface FreshPublish {
  readonly stream: PublishStream;
  readonly item: OutboxItem;
  readonly waiter: Waiter;
}

/** The same of what an app's bundle has for one topic. */
export interface BundleItem extends FreshPublish {
  /** The places of its records in the bundle. */
  readonly ranks: Ranks;
}

type Ranges = [from: number, to: number][];

/** A tag for a batch that has gone nowhere yet, or was read from the outbox. */
export function newTag(
  item: OutboxItem,
  waiters: Waiter[],
  order: number,
  { bundle, ranks, stored }: {
    readonly bundle?: number;
    readonly ranks?: Ranks;
    readonly stored?: [from: number, to: number];
  } = {},
): BatchTag {
  return {
    waiters,
    previous: item.previous,
    order,
    bundle: bundle ?? 0,
    ranks: ranks ?? null,
    deadlineMs: item.deadlineMs,
    isStored: stored !== undefined,
    stored: stored === undefined ? [] : [stored],
    isDetached: false,
    isDone: false,
  };
}

/** A batch as the outbox keeps it. */
export function itemOf(
  { producer, topic }: {
    readonly producer: { readonly id: Uint8Array };
    readonly topic: string;
  },
  batch: TaggedBatch,
): OutboxItem {
  return {
    producer: producer.id,
    topic,
    previous: batch.tag.previous,
    firstSequence: batch.firstSequence,
    count: batch.count,
    attributes: batch.attributes,
    deadlineMs: batch.tag.deadlineMs,
    batch: batch.bytes,
  };
}

/** The places from the one with `index` on, `count` of them. */
export function cutRanges(
  ranges: Ranges,
  index: number,
  count: number,
): Ranges {
  const cut: Ranges = [];
  let at = -index;
  for (const [from, to] of ranges) {
    const a = Math.max(from, from - at);
    const b = Math.min(to, from - at + count);
    if (a < b) cut.push([a, b]);
    at += to - from;
  }
  return cut;
}
