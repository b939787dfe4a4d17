/**
 * Publishes on their way to the broker, on two roads.
 *
 * - **Fast**: the link is up and moves. A batch goes straight on; the broker's
 *   RECEIPT answers it.
 * - **Safe**: no link, or no receipt over it for a while. The batch, and before it
 *   every unanswered one of its stream, is committed to the outbox and answered
 *   with level `daemon`. While anything of a producer lies there, what comes
 *   later of it queues behind, so that its messages stay in order.
 *
 * Both roads carry the same sequences; the broker skips what it has.
 *
 * When this machine's disk has no room, new publishes that need it are refused.
 * What was on its way then stays in memory, without an answer: whether the broker
 * has it is not known.
 *
 * Here it is decided which road a publish takes. `sending.ts` is the way to the
 * link, `answers.ts` the way back, `storing.ts` that to the disk, and `drain.ts`
 * that from the disk to the link.
 *
 * @module
 */

import { remainingMs, withRemaining } from "../../protocol/attributes.ts";
import { splitOffset } from "../../protocol/batch.ts";
import type { Clock } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import {
  type ErrorMessage,
  LEVEL,
  type Publish,
  type Receipt,
} from "../../protocol/messages.ts";
import type { Port } from "../port.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import { EndedProducers } from "./ended_producers.ts";
import { LoosePublishes } from "./loose_publishes.ts";
import { type AnswersOwner, OutboxAnswers } from "./answers.ts";
import { DRAIN_WINDOW_BYTES, OutboxDrain } from "./drain.ts";
import type { OutboxItem } from "./item.ts";
import { OutboxLink } from "./outbox_link.ts";
import { OutboxLog } from "./outbox_log.ts";
import { OutboxLosses } from "./losses.ts";
import { OutboxSending } from "./sending.ts";
import { OutboxStoring } from "./storing.ts";
import { Pace } from "./pace.ts";
import { newTag } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import { answer, type Waiter } from "./publish_waiter.ts";
import { type Producer, Producers } from "./producers.ts";

export type { RejectedItem } from "./answers.ts";

/** Bytes of fast publishes without receipt, beyond which no app is read that has any. */
const FAST_WINDOW_BYTES = 16 * 1024 * 1024;
/** The same of one app: what others publish stands behind it on the link. */
const FAST_WINDOW_BYTES_OF_ONE = 2 * 1024 * 1024;
/** Bytes on their way to this machine's disk, beyond which apps are read no more. */
const DIRTY_BYTES_MAX = 8 * 1024 * 1024;
/** Repetitions of publishes to one topic that may wait for level `broker`. */
const WAITERS_MAX = 65_536;

/** What an outbox stands on. */
export interface OutboxContext extends AnswersOwner {
  readonly commits: Commits;
  readonly clock: Clock;
  readonly outboxBytesMax: number;
  /** The store's log of outbox items, and that of what the broker refused for good. */
  readonly outboxLog: number;
  readonly deadLog: number;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  /** A number for a request to the broker; it grows. */
  nextRequest(): number;
  /** What had a receipt of level `daemon` was damaged on this disk; topic `null`: nobody knows whose. */
  onDamaged(
    producer: Producer | null,
    topic: string | null,
    count: number,
  ): void;
}

/** The publishes of this machine that the broker has not confirmed. */
export class Outbox {
  readonly #context: OutboxContext;
  readonly #log: OutboxLog;
  readonly #pace: Pace;
  readonly #producers = new Producers();
  readonly #link: OutboxLink;
  readonly #storing: OutboxStoring;
  readonly #answers: OutboxAnswers;
  readonly #sending: OutboxSending;
  readonly #drain: OutboxDrain;
  readonly #ended: EndedProducers;
  readonly #loose: LoosePublishes;
  /** Apps that are not read on before there are receipts. */
  #room: { producer: Producer; resolve(): void }[] = [];
  /** Counts the batches that came from apps. */
  #order = 0;

  constructor(context: OutboxContext) {
    const { commits, outboxLog, deadLog, clock, base } = context;
    const nextRequest = () => context.nextRequest();
    const producers = this.#producers;
    const wakeDrain = () => this.#drain.wake();
    this.#context = context;
    const log = this.#log = new OutboxLog(commits, outboxLog, deadLog);
    const pace = this.#pace = new Pace(clock, () => this.#stall());
    const link = this.#link = new OutboxLink(() => this.#nowMs());
    this.#storing = new OutboxStoring({
      commits,
      outboxBytesMax: context.outboxBytesMax,
      log,
      pace,
      link,
      onStored: wakeDrain,
    });
    this.#answers = new OutboxAnswers({
      commits,
      log,
      base,
      onRetry: () => this.#sending.retryLater(),
      onBuried: wakeDrain,
      onRejected: (producer, item) => context.onRejected(producer, item),
      onLost: (producer, topic, count) =>
        context.onLost(producer, topic, count),
      onConfused: (error) => context.onConfused(error),
    });
    this.#sending = new OutboxSending({
      clock,
      base,
      link,
      pace,
      producers,
      answers: this.#answers,
      nextRequest,
      onRested: wakeDrain,
    });
    this.#drain = new OutboxDrain({
      log,
      pace,
      link,
      producers,
      isResting: () => this.#sending.isResting,
      onQueued: (stream) => this.#sending.send(stream),
      onDamaged: ({ producer, topic }, count) =>
        context.onDamaged(producer, topic, count),
      onFailed: (error) => commits.fail(error),
    });
    this.#ended = new EndedProducers({
      commits,
      producers,
      log,
      link,
      nextRequest,
    });
    this.#loose = new LoosePublishes({
      link,
      nextRequest,
      onFewer: () => this.#wake(),
    });
  }

  /** Takes the streams that were stored and counts what lies in the outbox. */
  async load(entries: Map<number, Uint8Array>): Promise<void> {
    this.#producers.load(entries);
    let damaged = 0;
    const losses = new OutboxLosses();
    await this.#log.visit((item, end) => {
      const { producer, topic, count, firstSequence } = item;
      const stream = this.#producers.stream(this.producer(producer, ""), topic);
      stream.producer.outboxEnd = end;
      stream.countStored(count);
      stream.drainedLast = Math.min(stream.drainedLast, firstSequence - 1);
      losses.seen(stream, item);
    }, (from, to) => damaged += to - from);
    const { brokerEpoch } = this.#context.base;
    for (const stream of this.#producers.streams()) {
      stream.noteHad(stream.drainedLast, brokerEpoch);
    }
    if (damaged > 0) losses.tell(damaged, this.#context.onDamaged);
  }

  /** Records in the outbox. */
  get messages(): number {
    return this.#log.messages;
  }

  /** Bytes in the outbox. */
  get bytes(): number {
    return this.#log.bytes;
  }

  /** The producer of a handle. */
  producer(id: Uint8Array, user: string): Producer {
    return this.#producers.get(id, user);
  }

  /** Resolves when the app of a producer may be read on; `null` when it may at once. */
  room(producer: Producer): Promise<void> | null {
    const { store } = this.#context.commits;
    if (store.dirtyBytes > DIRTY_BYTES_MAX) return store.committed();
    if (!this.#mayRead(producer)) {
      return new Promise((resolve) => this.#room.push({ producer, resolve }));
    }
    return this.#log.room(producer);
  }

  #mayRead({ fastBytes }: Producer): boolean {
    const bytes = this.#pace.fastBytes + this.#loose.bytes;
    return bytes < FAST_WINDOW_BYTES
      ? fastBytes < FAST_WINDOW_BYTES_OF_ONE
      : fastBytes === 0;
  }

  /**
   * Takes a PUBLISH of an app, already checked.
   *
   * @throws {MomError} `outbox_full`, `storage_full`.
   */
  publish(port: Port, producer: Producer, message: Publish): void {
    const { request, topic, firstSequence, count } = message;
    this.#checkStreams(producer, topic);
    const stream = this.#producers.stream(producer, topic);
    const waiter: Waiter = {
      port,
      request,
      first: firstSequence,
      last: firstSequence + count - 1,
      wantsBroker: message.wanted === LEVEL.broker,
    };
    if (waiter.last <= stream.storedLast) {
      return this.#answerKnown(stream, waiter);
    }
    const item = this.#rest(stream, this.#itemOf(producer, message));
    if (stream.join(item.firstSequence, waiter)) return;
    if (this.#mustStore(producer, item)) {
      const isNew = this.#storing.store(stream, item, waiter);
      if (!isNew) this.#answerKnown(stream, waiter);
    } else if (item.firstSequence < stream.sender.nextSequence) {
      this.#loose.send(stream, item, waiter);
    } else {
      stream.queue(item, newTag(item, [waiter], ++this.#order));
      this.#sending.send(stream);
    }
  }

  /** A sequence is kept for each, so there is a limit to them. */
  #checkStreams(producer: Producer, topic: string): void {
    if (producer.streams.has(topic)) return;
    const { size } = producer.streams;
    const { streamCount } = this.#producers;
    if (size < LIMITS.topicsPerProducer && streamCount < LIMITS.streams) return;
    throw new MomError(
      "outbox_full",
      `Cannot publish to another topic: this producer has published to ${size} of ${LIMITS.topicsPerProducer}, all of this machine to ${streamCount} of ${LIMITS.streams}`,
    );
  }

  /** Whether the link is there, moves, and is not full of what the outbox has. */
  get #isMoving(): boolean {
    return this.#link.isRead && !this.#pace.isStalled &&
      this.#pace.drainBytes <= 2 * DRAIN_WINDOW_BYTES;
  }

  /** Whether the fast road is closed; with a full disk a stalled link is better than none. */
  #mustStore(producer: Producer, { batch }: OutboxItem): boolean {
    if (!this.#link.isUp || producer.isInOutbox) return true;
    return !this.#isMoving && this.#storing.fits(batch.length);
  }

  #itemOf(producer: Producer, message: Publish): OutboxItem {
    const left = remainingMs(message.attributes);
    return {
      producer: producer.id,
      topic: message.topic,
      previous: message.previous,
      firstSequence: message.firstSequence,
      count: message.count,
      attributes: withRemaining(message.attributes, null),
      deadlineMs: left === null ? null : this.#nowMs() + left,
      batch: message.batch,
    };
  }

  #nowMs(): number {
    return this.#context.commits.store.timeline.nowMs();
  }

  /** It was stored here before: the app has lost our answer. */
  #answerKnown(stream: PublishStream, waiter: Waiter): void {
    const refusal = stream.refusals.of(waiter.first, waiter.last);
    if (refusal !== null && waiter.wantsBroker) {
      return stream.answer(waiter, LEVEL.broker, null);
    }
    if (refusal === null && waiter.last <= stream.drainedLast) {
      return answer(waiter, LEVEL.broker, null);
    }
    this.#context.commits.whenDone(() => stream.answerStored(waiter));
    if (!waiter.wantsBroker) return;
    if (stream.outboxWaiters.length >= WAITERS_MAX) {
      throw new MomError(
        "outbox_full",
        `Cannot wait for the broker: ${WAITERS_MAX} publishes to "${stream.topic}" do`,
      );
    }
    stream.outboxWaiters.push(waiter);
  }

  /** What of an item is not in the outbox already. */
  #rest(stream: PublishStream, item: OutboxItem): OutboxItem {
    const known = stream.storedLast - item.firstSequence + 1;
    if (known <= 0) return item;
    return {
      ...item,
      previous: stream.storedLast,
      firstSequence: stream.storedLast + 1,
      count: item.count - known,
      batch: item.batch.subarray(splitOffset(item.batch, known)),
    };
  }

  // The link

  /**
   * Nothing moves, or too slowly. Whoever has something on its way has it stored,
   * with all that this producer sent since: order holds over its topics.
   */
  #stall(): void {
    const streams: PublishStream[] = [];
    for (const producer of this.#pace.producers) {
      streams.push(...producer.streams.values());
    }
    this.#storing.shiftIfRoom(streams);
    this.#wake();
  }

  /** To be called a few times a second: there may be room again for what stayed in memory. */
  tick(): void {
    this.#drain.wake();
    if (this.#link.isUp && !this.#pace.isStalled) return;
    this.#storing.shiftIfRoom(this.#producers.streams());
  }

  /** There is a link: the outbox is drained over it. */
  linkUp(port: Port, maxMessageBytes: number): void {
    this.#link.up(port, maxMessageBytes);
    this.#drain.restart();
    this.#sendKept();
    this.#drain.wake();
    this.#ended.tell();
  }

  /** The link is gone: what has no receipt goes to the outbox at once, if there is room. */
  linkDown(): void {
    this.#link.down();
    this.#pace.reset();
    this.#sending.cancelRetry();
    const streams = [...this.#producers.streams()];
    for (const { producer } of streams) producer.gate = null;
    this.#storing.letGo(streams);
    this.#storing.shiftIfRoom(streams);
    const lost = new MomError("outcome_unknown", "The link ended too early");
    this.#loose.refuseAll(lost);
    this.#wake();
  }

  /** A RECEIPT of the broker. */
  onReceipt(message: Receipt): void {
    if (this.#loose.onReceipt(message)) return;
    const stream = this.#pace.answered(message.request);
    if (stream === null) return;
    if (this.#answers.onReceipt(stream, message)) this.#goOn(stream);
  }

  /** An ERROR of the broker; gives whether it was about a publish. */
  onError(message: ErrorMessage): boolean {
    const { request } = message;
    if (request === null) return false;
    if (this.#loose.onError(request, message)) return true;
    const stream = this.#pace.answered(request);
    if (stream === null) return false;
    this.#answers.onError(stream, request, message);
    this.#goOn(stream);
    return true;
  }

  #goOn(stream: PublishStream): void {
    this.#sending.openGate(stream);
    this.#sending.send(stream);
    this.#drain.wake();
    this.#ended.tell();
    this.#wake();
  }

  /** What stayed in memory without a link goes out again, as it came. */
  #sendKept(): void {
    const kept = this.#storing.unstored(this.#producers.streams());
    const byProducer = Map.groupBy(kept, ([{ producer }]) => producer);
    for (const [producer, list] of byProducer) {
      this.#sending.sendInOrder(producer, list.map(([stream]) => stream));
    }
  }

  #wake(): void {
    if (this.#room.length === 0) return;
    const waiting = this.#room;
    this.#room = [];
    for (const each of waiting) {
      if (this.#mayRead(each.producer)) each.resolve();
      else this.#room.push(each);
    }
  }

  // Ending

  /** A handle is gone for good: once nothing of it is left, the broker may forget it. */
  endProducer(id: Uint8Array): void {
    const producer = this.#producers.find(id);
    if (producer !== undefined) this.#ended.end(producer);
  }

  /** As `endProducer`, for all but those that `isLiving`. */
  endAllBut(isLiving: (id: Uint8Array) => boolean): void {
    for (const producer of this.#producers.all()) {
      if (!isLiving(producer.id)) this.#ended.end(producer);
    }
  }

  /** Waits for reads and writes under way; nothing new begins. */
  async close(): Promise<void> {
    this.#link.close();
    this.#pace.reset();
    this.#sending.cancelRetry();
    await this.#log.close();
    await this.#drain.close();
  }
}
