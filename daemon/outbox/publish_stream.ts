/**
 * What this daemon knows of one (producer, topic): which of its batches are on
 * their way to the broker, who waits for them, and whether it lies in the
 * outbox.
 *
 * @module
 */

import type { MomError } from "../../protocol/errors.ts";
import { LEVEL } from "../../protocol/messages.ts";
import type { Store } from "../../storage/store.ts";
import type { Saveable } from "../commits.ts";
import type { OutboxItem } from "./item.ts";
import type { Producer } from "./producers.ts";
import {
  type BatchPart,
  type BatchTag,
  cutRanges,
  type Sequences,
  type TaggedBatch,
} from "./publish_batch.ts";
import { answer, refuse, type Waiter } from "./publish_waiter.ts";
import { Refusals, type RefusedFields } from "./refusals.ts";
import { ProducerStream } from "../stream.ts";
import { decodeEntry, encodeEntry, TABLE } from "../tables.ts";

type StreamEntry = [
  producer: Uint8Array,
  topic: string,
  storedLast: number,
  user: string,
  /** Missing in what was written before there were any. */
  refused: RefusedFields,
];

/** One (producer, topic). */
export class PublishStream implements Saveable {
  readonly key: number;
  readonly producer: Producer;
  readonly topic: string;
  /** What was refused for good. */
  readonly refusals: Refusals;
  /** Last sequence that was committed to the outbox; kept after draining. */
  storedLast = 0;
  /** Last sequence of the outbox that the broker has, or refused for good. */
  drainedLast = 0;
  /** Last sequence that has left the outbox; what lies before it may still be there. */
  #leftLast = 0;
  /** Records in the outbox. */
  #outboxCount = 0;
  #unstored = 0;
  /** Waiting for level `broker` of what lies in the outbox, in order. */
  outboxWaiters: Waiter[] = [];
  sender = new ProducerStream<BatchTag>();
  isEnded = false;
  #isStored = false;
  /** The sequence that its app is to go on from, as it was told; `null`: none. */
  #returnedTo: number | null = null;
  /** The last sequence that was refused. */
  #givenUpLast = 0;
  /** The last sequence that the broker is known to have had, and in which epoch. */
  #had = { last: 0, epoch: 0 };

  constructor(key: number, producer: Producer, topic: string) {
    this.key = key;
    this.producer = producer;
    this.topic = topic;
    this.refusals = new Refusals(topic);
  }

  /** A stream as it was stored; `producerOf` finds or makes its producer. */
  static load(
    key: number,
    bytes: Uint8Array,
    producerOf: (id: Uint8Array, user: string) => Producer,
  ): PublishStream {
    const [id, topic, last, user, refused = []] = decodeEntry<StreamEntry>(
      bytes,
    );
    const stream = new PublishStream(key, producerOf(id.slice(), user), topic);
    stream.storedLast = last;
    stream.drainedLast = last;
    stream.#isStored = true;
    stream.refusals.load(refused);
    return stream;
  }

  /** {@inheritDoc Saveable.save} */
  save(store: Store): void {
    if (!this.isEnded) {
      this.#isStored = true;
      const entry: StreamEntry = [
        this.producer.id,
        this.topic,
        this.storedLast,
        this.producer.user,
        this.refusals.toFields(),
      ];
      store.put(TABLE.streams, this.key, encodeEntry(entry));
    } else if (this.#isStored) store.delete(TABLE.streams, this.key);
  }

  /** Batches in the sender that do not go to the outbox, so far. */
  get unstored(): number {
    return this.#unstored;
  }

  set unstored(count: number) {
    const had = this.#unstored > 0;
    this.#unstored = count;
    if (had === count > 0) return;
    if (had) this.producer.unstored.delete(this);
    else this.producer.unstored.add(this);
  }

  /** Whether nothing of it is anywhere. */
  get isIdle(): boolean {
    return this.#outboxCount === 0 && this.sender.size === 0;
  }

  /**
   * Whether the broker may have less of it than this daemon believes.
   *
   * @param previous The sequence before what its app publishes now: counts where
   *   nothing is on its way, else it is that of what is.
   */
  isUncertain(epoch: number, previous = 0): boolean {
    const { accepted, size } = this.sender;
    return this.#had.epoch !== epoch &&
      Math.max(accepted, size === 0 ? previous : 0) > 0;
  }

  /** The broker has, or had, everything up to `last`. */
  noteHad(last: number, epoch: number): void {
    if (epoch === this.#had.epoch && last <= this.#had.last) return;
    this.#had = { last, epoch };
  }

  /**
   * The broker says that it has nothing behind `last`.
   *
   * @param claimed The sequence up to which the app has receipts, as it says: counts
   *   where this daemon knows of nothing, having lost its own disk.
   * @returns How many sequences were had in an epoch before and are no more.
   */
  missing(last: number, epoch: number, claimed: number): number {
    const had = this.#had;
    this.#had = { last, epoch };
    if (had.epoch === 0) {
      // What was refused here the broker never had.
      return Math.max(0, claimed - Math.max(last, this.#givenUpLast));
    }
    // Within an epoch it is a topic that was forgotten as nobody used it.
    if (had.epoch === epoch) return 0;
    return Math.max(0, had.last - last);
  }

  /** Records have gone to the outbox, or left it. */
  countStored(records: number): void {
    this.#outboxCount += records;
    this.producer.outboxCount += records;
  }

  /** Puts an item behind the others that wait to be sent. */
  queue(item: OutboxItem, tag: BatchTag): void {
    const { firstSequence, previous } = item;
    const isFresh = this.sender.size === 0;
    if (isFresh && firstSequence < this.sender.nextSequence) {
      this.sender = new ProducerStream(Math.min(previous, firstSequence - 1));
    } else if (isFresh && previous >= this.sender.nextSequence) {
      // What lies before that and is not accepted was refused, as its app hears.
      this.sender = new ProducerStream(previous);
    }
    if (!tag.isStored) this.unstored++;
    this.producer.gate?.order.push(this);
    this.sender.push({
      firstSequence,
      count: item.count,
      attributes: item.attributes,
      bytes: item.batch,
      tag,
    });
  }

  /** An app that lost its connection asks again for what is on its way already. */
  join(firstSequence: number, waiter: Waiter): boolean {
    const { sender } = this;
    if (sender.size === 0 || firstSequence >= sender.nextSequence) return false;
    for (const batch of sender) {
      const last = batch.firstSequence + batch.count - 1;
      if (batch.firstSequence > firstSequence || last !== waiter.last) continue;
      batch.tag.waiters.push(waiter);
      return true;
    }
    return false;
  }

  /**
   * What was sent before its app had heard that it is to go back further: were it
   * taken, what lies before it would count as known when it comes.
   *
   * @returns The sequence to go on from; `null`: the publish may be taken.
   */
  returnedTo(previous: number): number | null {
    const last = this.#returnedTo;
    if (last !== null && previous > last) return last;
    this.#returnedTo = null;
    return null;
  }

  /** Takes a batch out that was refused, or is its app's to send again. */
  giveUp(request: number): TaggedBatch | null {
    const batch = this.sender.refused(request);
    if (batch === null) return null;
    if (!batch.tag.isStored) this.unstored--;
    this.#givenUpLast = batch.firstSequence + batch.count - 1;
    return batch;
  }

  /**
   * Takes everything out, which is its app's to send again, if the request is that
   * of a batch in here.
   *
   * @param last The sequence that it is to go on from.
   * @returns Who waits for it.
   */
  giveBack(request: number, last: number): Waiter[] {
    const batches = [...this.sender];
    if (!batches.some((batch) => batch.request === request)) return [];
    this.#returnedTo = last;
    this.unstored -= batches.filter(({ tag }) => !tag.isStored).length;
    this.sender = new ProducerStream();
    return batches.flatMap(({ tag }) => tag.waiters);
  }

  /**
   * Puts what the broker takes of a batch in its place.
   *
   * @param parts What it takes, in order; at least one.
   */
  replace(
    { request, firstSequence, attributes, tag }: TaggedBatch,
    parts: readonly BatchPart[],
  ): void {
    const last = parts.length - 1;
    const batches = parts.map(({ index, count, bytes }, at) => ({
      firstSequence: firstSequence + index,
      count,
      attributes,
      bytes,
      tag: {
        ...tag,
        bundle: 0,
        ranks: null,
        // Who waits has its answer with the last part: the others come before it.
        waiters: at === last ? tag.waiters : [],
        stored: cutRanges(tag.stored, index, count),
        previous: index === 0 ? tag.previous : firstSequence + index - 1,
      },
    }));
    this.sender.replace(request!, batches);
    if (!tag.isStored) return void (this.unstored += last);
    // As of what is read from the outbox: whoever waits hears when all has left it.
    const waiting = tag.waiters.filter((each) => each.wantsBroker);
    this.outboxWaiters.push(...waiting);
    this.outboxWaiters.sort((a, b) => a.last - b.last);
    batches[last].tag.waiters = [];
  }

  /** A batch has its final answer: whoever waits for it is told. */
  finish(
    batch: TaggedBatch,
    offset: number | null,
    error?: MomError,
  ): void {
    const { tag } = batch;
    tag.isDone = true;
    for (const waiter of tag.waiters) {
      // An app may ask again for a batch together with what came before it.
      const first = waiter.first === batch.firstSequence ? offset : null;
      if (error === undefined) this.answer(waiter, LEVEL.broker, first);
      else refuse(waiter, error);
    }
    tag.waiters = [];
    if (tag.isStored) this.leaveOutbox(batch);
    else this.unstored--;
  }

  /** It is on this disk: told, but where only a part is and the rest is to be told with it. */
  answerStored(waiter: Waiter): void {
    if (
      waiter.wantsBroker &&
      this.refusals.in(waiter.first, waiter.last).length > 0
    ) {
      return;
    }
    this.answer(waiter, LEVEL.daemon, null);
  }

  /** Answers with a receipt, or with what of the publish was refused as too large. */
  answer(waiter: Waiter, level: 0 | 1, offset: number | null): void {
    const refused = this.refusals.in(waiter.first, waiter.last);
    if (refused.length === 0) return answer(waiter, level, offset);
    const refusal = this.refusals.of(waiter.first, waiter.last)!;
    const isPart = refusal.cause !== undefined &&
      refused.every(({ error }) => error.code === "message_too_large");
    if (!isPart) return refuse(waiter, refusal);
    const sequences: number[] = [];
    for (const { first, last } of refused) {
      const to = Math.min(last, waiter.last);
      for (let at = Math.max(first, waiter.first); at <= to; at++) {
        sequences.push(at);
      }
    }
    const details = new Map<string, number | number[]>([
      ["level", level],
      ["refused", sequences],
    ]);
    waiter.port.refuse(refused[0].error, waiter.request, details);
  }

  /** A batch was refused for good that was answered already, or is part of another. */
  noteRefused(batch: Sequences, error: MomError, isStored = true): void {
    this.refusals.add(batch, error, isStored);
  }

  /** The broker has it, or it will not come. */
  leaveOutbox(batch: Sequences, error?: MomError): void {
    const last = batch.firstSequence + batch.count - 1;
    this.countStored(-batch.count);
    this.#leftLast = Math.max(this.#leftLast, last);
    // What was refused here may lie behind what the broker has not answered yet.
    const open = this.sender.first()?.firstSequence ?? Infinity;
    const through = Math.min(this.#leftLast, open - 1);
    this.drainedLast = Math.max(this.drainedLast, through);
    const waiters = this.outboxWaiters;
    // What goes with it as lost is refused as what the broker refuses is.
    if (error !== undefined) this.noteRefused(batch, error);
    while (waiters.length > 0 && waiters[0].last <= through) {
      this.answer(waiters.shift()!, LEVEL.broker, null);
    }
  }

  /** The link is gone: all that is stored is found again by the next drain. */
  detach(): void {
    for (const { tag } of this.sender) {
      const waiting = tag.waiters.filter((waiter) => waiter.wantsBroker);
      this.outboxWaiters.push(...waiting);
      tag.isDetached = true;
    }
    this.outboxWaiters.sort((a, b) => a.last - b.last);
    this.sender = new ProducerStream();
  }
}
