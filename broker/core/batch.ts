/**
 * A batch on its way to users, and what a user's claim says about it.
 *
 * @module
 */

import { withRemaining } from "../../protocol/attributes.ts";
import { joined, orderOf, type Ranks, runsOf } from "../../protocol/bundle.ts";
import { recordEnd, splitOffset } from "../../protocol/batch.ts";
import { toLogId } from "../../protocol/log_id.ts";
import {
  type Deliver,
  type DeliverBundle,
  TARGET_FLAG,
} from "../../protocol/messages.ts";
import type { ItemMeta } from "./item_meta.ts";
import type { Reader } from "./readers.ts";
import type { State } from "./state.ts";
import type { Topic } from "./topics.ts";

/** Records of one sender that were accepted together. */
export interface Batch {
  readonly topic: Topic;
  /** First offset. */
  readonly base: number;
  readonly count: number;
  /** The commit that holds it. */
  readonly position: number;
  /** When it was accepted, ms since 1970. */
  readonly timeMs: number;
  readonly meta: ItemMeta;
  readonly body: Uint8Array;
  /** The places of its records in its bundle; `null`: it belongs to none. */
  readonly ranks: Ranks | null;
}

/** Whether a batch is the user's own and not wanted back (PROTOCOL 8.6). */
export function isOwn(
  reader: Reader,
  meta: ItemMeta,
  offset: number,
): boolean {
  return meta.senderKey === reader.user.key && !reader.wantsEcho(offset);
}

/** Whether a batch's time is up. */
export function isExpired(meta: ItemMeta, nowMs: number): boolean {
  return meta.expiresAtMs !== null && meta.expiresAtMs <= nowMs;
}

/** The flags of a target (PROTOCOL 6.1). */
export function flagsOf(
  reader: Reader,
  offset: number,
  position: number,
): number {
  return (reader.isManual(offset) ? TARGET_FLAG.manual : 0) |
    (position <= reader.user.suspect ? TARGET_FLAG.redelivered : 0);
}

/** A batch as DELIVER tells it. */
export function toDeliverFields(
  state: State,
  batch: Batch,
): Omit<Deliver, "type" | "targets"> {
  const { meta } = batch;
  return {
    logId: toLogId(state.store.epoch, batch.topic.log),
    topic: batch.topic.name,
    baseOffset: batch.base,
    count: batch.count,
    position: batch.position,
    time: batch.timeMs,
    sender: meta.sender,
    attributes: meta.expiresAtMs === null
      ? meta.attributes
      : withRemaining(meta.attributes, meta.expiresAtMs - state.nowMs()),
    batch: batch.body,
  };
}

/** The records from offset `from` up to `to` of a batch. */
export function slice(batch: Batch, from: number, to: number): Batch {
  const start = splitOffset(batch.body, from - batch.base);
  let end = start;
  if (to === batch.base + batch.count) end = batch.body.length;
  else for (let i = from; i < to; i++) end = recordEnd(batch.body, end);
  return {
    ...batch,
    base: from,
    count: to - from,
    body: batch.body.subarray(start, end),
    ranks: batch.ranks?.subarray(from - batch.base, to - batch.base) ?? null,
  };
}

/** Parts of a bundle, or pieces of them, as DELIVER_BUNDLE tells them. */
export function toBundleFields(
  state: State,
  batches: readonly Batch[],
  flags: readonly number[],
): Omit<DeliverBundle, "type" | "refs"> {
  const { position, time, sender, attributes } = toDeliverFields(
    state,
    batches[0],
  );
  return {
    position,
    time,
    sender,
    attributes,
    topics: batches.map(({ topic }) => topic.name),
    parts: batches.flatMap(({ topic, base, count, body }, i) => [
      toLogId(state.store.epoch, topic.log),
      base,
      count,
      flags[i],
      body.length,
    ]),
    order: orderOf(batches.map(({ ranks }) => ranks!)),
    batch: joined(batches.map(({ body }) => body)),
  };
}

/** Parts of a bundle as batches of their own, run by run in the order of publishing. */
export function runsOfBundle(
  batches: readonly Batch[],
): { part: number; batch: Batch }[] {
  const all = batches.map(({ body, ranks }) => ({
    bytes: body,
    ranks: ranks!,
  }));
  return runsOf(all).map(({ part, index, count, bytes }) => ({
    part,
    batch: {
      ...batches[part],
      base: batches[part].base + index,
      count,
      body: bytes,
      ranks: null,
    },
  }));
}
