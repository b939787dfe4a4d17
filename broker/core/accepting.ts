/**
 * The way of publishes into the logs, and what goes with them in the same commit:
 * the producer's sequence, the sender's own messages, the receipt, the deliveries.
 *
 * @module
 */

import { kept, remainingMs } from "../../protocol/attributes.ts";
import { cutBatch, splitOffset } from "../../protocol/batch.ts";
import { cutPart, type Ranks } from "../../protocol/bundle.ts";
import { LEVEL } from "../../protocol/messages.ts";
import { type BundlePlace, withPlace } from "../../storage/bundle_place.ts";
import { ITEM_BYTES_MAX } from "../../storage/store.ts";
import type { Job } from "./admission.ts";
import type { Batch } from "./batch.ts";
import type { StagedBlob } from "./broker_store.ts";
import { RESULTS } from "./counts.ts";
import type { Deliveries } from "./deliveries.ts";
import { encodeMeta, type ItemMeta } from "./item_meta.ts";
import type { Producer } from "./producers.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";
import type { Topic } from "./topics.ts";
import type { User } from "./users.ts";

/** Room for what an item brings along into its group. */
const ITEM_OVERHEAD_BYTES = 512;
/** What a place has beside its ranks, at most. */
const PLACE_BYTES_MAX = 32;

/** What is left of a PUBLISH to accept. */
export interface Rest {
  readonly job: Job;
  readonly meta: ItemMeta;
  readonly metaBytes: Uint8Array;
  body: Uint8Array;
  count: number;
  /** Sequence of the first record of what is left. */
  sequence: number;
  /**
   * Offset of the first record, if that is accepted here and now and the others
   * follow it without a gap: behind a large record others may have come between.
   */
  offset: number | null;
  /** Offset behind the last record that was accepted here and now. */
  end: number;
}

/** Accepts publishes. */
export class Accepting {
  readonly #state: State;
  readonly #deliveries: Deliveries;
  /** Counts the bundles. */
  #bundles = 0;

  constructor(state: State, deliveries: Deliveries) {
    this.#state = state;
    this.#deliveries = deliveries;
  }

  /** What is left of a job of which so many records are stored. */
  restOf(job: Job, known: number): Rest {
    const { message } = job;
    const { meta, bytes } = this.#metaOf(job);
    return {
      job,
      meta,
      metaBytes: bytes,
      body: known === 0
        ? message.batch
        : message.batch.subarray(splitOffset(message.batch, known)),
      count: message.count - known,
      sequence: message.firstSequence + known,
      offset: null,
      end: 0,
    };
  }

  #metaOf(job: Job): { meta: ItemMeta; bytes: Uint8Array } {
    const { producer, message } = job;
    const senderKey = this.#senderOf(producer)?.key ?? 0;
    const left = remainingMs(message.attributes);
    const meta = {
      senderKey,
      sender: producer.sender,
      expiresAtMs: left === null ? null : this.#state.nowMs() + left,
      attributes: kept(message.attributes),
      place: null,
    };
    if (left !== null || meta.attributes !== null) {
      return { meta, bytes: encodeMeta(meta, this.#state.store.timeline) };
    }
    if (producer.plainMeta?.userKey !== senderKey) {
      producer.plainMeta = {
        userKey: senderKey,
        bytes: encodeMeta(meta, null),
      };
    }
    return { meta, bytes: producer.plainMeta.bytes };
  }

  #senderOf(producer: Producer): User | undefined {
    return this.#state.users.get(producer.sender);
  }

  /** Appends what is left, up to a record that has to be staged; whether that was all. */
  accept(rest: Rest): boolean {
    const most = ITEM_BYTES_MAX - rest.metaBytes.length;
    const { session, message } = rest.job;
    while (rest.count > 0) {
      const piece = cutBatch(rest.body, most);
      if (piece.bytes > most) return false;
      this.#append(rest, piece.bytes, piece.count);
    }
    this.receipt(session, message.request, rest.offset);
    return true;
  }

  #append(rest: Rest, bytes: number, count: number): void {
    const { commits } = this.#state;
    commits.makeRoom(bytes + rest.metaBytes.length);
    const topic = this.#topicFor(rest.job);
    const body = rest.body.subarray(0, bytes);
    const base = commits.append(topic.log, count, rest.metaBytes, body);
    const batch = this.#accepted(rest, topic, base, count, body);
    commits.whenDone(() => this.#deliveries.release(batch));
  }

  /** Appends a large record in front, which is staged. */
  acceptStaged(rest: Rest, body: Uint8Array, blob: StagedBlob): void {
    const { commits } = this.#state;
    commits.makeRoom(rest.metaBytes.length);
    const topic = this.#topicFor(rest.job);
    const base = commits.appendStaged(topic.log, rest.metaBytes, blob);
    const batch = this.#accepted(rest, topic, base, 1, body);
    commits.whenDone(() => this.#deliveries.release(batch));
  }

  /**
   * Appends what is left of the parts of a bundle in one commit: items of their
   * topics, each with the places of its records, which are delivered together.
   */
  acceptBundle(rests: readonly Rest[], ranks: readonly Ranks[]): void {
    const { commits } = this.#state;
    const pieces = rests.flatMap((rest, i) => {
      const most = ITEM_BYTES_MAX - rest.metaBytes.length - PLACE_BYTES_MAX;
      return cutPart(rest.body, ranks[i], most)
        .map((piece) => ({ ...piece, rest }));
    });
    let size = 0;
    for (const { rest, bytes, ranks } of pieces) {
      size += rest.metaBytes.length + bytes.length + ranks.length +
        PLACE_BYTES_MAX + ITEM_OVERHEAD_BYTES;
    }
    commits.makeRoom(size);
    const bundle = ++this.#bundles;
    const batches = pieces.map(({ rest, bytes, count, ranks }, i) => {
      const left = pieces.length - 1 - i;
      return this.#appendPart(rest, bytes, count, { bundle, left, ranks });
    });
    commits.whenDone(() => this.#deliveries.releaseBundle(batches));
    for (const { job, offset } of rests) {
      this.receipt(job.session, job.message.request, offset);
    }
  }

  #appendPart(
    rest: Rest,
    body: Uint8Array,
    count: number,
    place: BundlePlace,
  ): Batch {
    const topic = this.#topicFor(rest.job);
    const meta = withPlace(rest.metaBytes, place);
    const base = this.#state.commits.append(topic.log, count, meta, body);
    return this.#accepted(rest, topic, base, count, body, place.ranks);
  }

  /** In the group of the append: everything that goes with it but its delivery. */
  #accepted(
    rest: Rest,
    topic: Topic,
    base: number,
    count: number,
    body: Uint8Array,
    ranks: Ranks | null = null,
  ): Batch {
    const state = this.#state;
    const { producer, message } = rest.job;
    const batch = {
      topic,
      base,
      count,
      position: state.store.openPosition,
      timeMs: state.store.openTime,
      meta: rest.meta,
      body,
      ranks,
    };
    if (rest.sequence === message.firstSequence) rest.offset = base;
    else if (base !== rest.end) rest.offset = null;
    rest.end = base + count;
    state.appendedBytes += body.length;
    rest.sequence += count;
    rest.count -= count;
    rest.body = rest.body.subarray(body.length);
    state.producers.advance(producer, topic.log, rest.sequence - 1);
    this.#settleOwn(topic, rest.meta, base, base + count);
    return batch;
  }

  /** Settles the sender's own messages with their append, where they would come next. */
  #settleOwn(topic: Topic, meta: ItemMeta, base: number, end: number): void {
    const reader = this.#state.users.get(meta.sender)?.readers.get(topic.log);
    if (reader === undefined || reader.user.key !== meta.senderKey) return;
    const isNext = reader.settled.floor === base ||
      reader.user.flow?.isLive === true;
    const isClaimed = base < reader.claimEnd;
    if (!isNext || !isClaimed || reader.wantsEcho(base)) return;
    this.#state.settle(reader, base, end, RESULTS.own);
  }

  /** The topic, with all rows that it is to have. */
  #topicFor(job: Job): Topic {
    const { topics, store } = this.#state;
    // The time of the whole group: no clock is read for each record.
    const stampMs = store.openTime;
    const name = job.message.topic;
    const topic = topics.get(name) ?? topics.create(name, stampMs);
    topics.touch(topic, stampMs);
    this.#state.matchTopic(topic);
    return topic;
  }

  /** Tells a sender how far its publish has come, once that is so. */
  receipt(session: Session, request: number, offset: number | null): void {
    this.#state.commits.whenDone(() =>
      session.send({ type: "RECEIPT", request, level: LEVEL.broker, offset })
    );
  }
}
