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
 * @module
 */

import { remainingMs, withRemaining } from "../protocol/attributes.ts";
import { splitOffset } from "../protocol/batch.ts";
import type { Clock, Timer } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { asMomError } from "../protocol/handshake.ts";
import { LIMITS } from "../protocol/limits.ts";
import {
  type ErrorMessage,
  LEVEL,
  type Publish,
  type Receipt,
} from "../protocol/messages.ts";
import type { Port } from "./app_binding.ts";
import type { Base } from "./base.ts";
import type { Commits } from "./commits.ts";
import { EndedProducers } from "./ended_producers.ts";
import { type Loose, LoosePublishes } from "./loose_publishes.ts";
import { DRAIN_WINDOW_BYTES, OutboxDrain } from "./outbox_drain.ts";
import type { OutboxItem } from "./outbox_item.ts";
import { OutboxLink } from "./outbox_link.ts";
import { OutboxLog } from "./outbox_log.ts";
import { OutboxLosses } from "./outbox_losses.ts";
import { Pace } from "./pace.ts";
import {
  answer,
  type BatchTag,
  cutRanges,
  itemOf,
  newTag,
  type PublishStream,
  refuse,
  type Waiter,
} from "./publish_stream.ts";
import { type Gate, type Producer, Producers } from "./producers.ts";
import type { PendingBatch } from "./stream.ts";

/** Bytes of fast publishes without receipt, beyond which no app is read that has any. */
const FAST_WINDOW_BYTES = 16 * 1024 * 1024;
/** The same of one app: what others publish stands behind it on the link. */
const FAST_WINDOW_BYTES_OF_ONE = 2 * 1024 * 1024;
/** Bytes on their way to this machine's disk, beyond which apps are read no more. */
const DIRTY_BYTES_MAX = 8 * 1024 * 1024;
/** Repetitions of publishes to one topic that may wait for level `broker`. */
const WAITERS_MAX = 65_536;
/** Wait before what the broker could not store is sent again. */
const RETRY_MS = 1_000;
/** What an outbox stands on. */
export interface OutboxContext {
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
  /** The broker refused for good what had a receipt of level `daemon`. */
  onRejected(producer: Producer, item: RejectedItem): void;
  /** The broker does not have any more what it had. */
  onLost(producer: Producer, topic: string, count: number): void;
  /** What had a receipt of level `daemon` was damaged on this disk; topic `null`: nobody knows whose. */
  onDamaged(
    producer: Producer | null,
    topic: string | null,
    count: number,
  ): void;
  /** The broker's answers make no sense: the link is of no use. */
  onConfused(error: MomError): void;
}

/** What became a dead letter. */
export interface RejectedItem {
  readonly topic: string;
  readonly count: number;
  readonly error: MomError;
}

/** The publishes of this machine that the broker has not confirmed. */
export class Outbox {
  readonly #context: OutboxContext;
  readonly #log: OutboxLog;
  readonly #pace: Pace;
  readonly #producers = new Producers();
  readonly #link: OutboxLink;
  readonly #drain: OutboxDrain;
  readonly #ended: EndedProducers;
  readonly #loose = new LoosePublishes();
  #retryTimer: Timer | null = null;
  /** Apps that are not read on before there are receipts. */
  #room: { producer: Producer; resolve(): void }[] = [];
  /** Counts the batches that came from apps. */
  #order = 0;

  constructor(context: OutboxContext) {
    const { commits, outboxLog, deadLog, clock } = context;
    this.#context = context;
    this.#log = new OutboxLog(commits, outboxLog, deadLog);
    this.#pace = new Pace(clock, () => this.#stall());
    this.#link = new OutboxLink(() => this.#nowMs());
    this.#drain = new OutboxDrain({
      log: this.#log,
      pace: this.#pace,
      link: this.#link,
      producers: this.#producers,
      isResting: () => this.#retryTimer !== null,
      onQueued: (stream) => this.#send(stream),
      onDamaged: ({ producer, topic }, count) =>
        context.onDamaged(producer, topic, count),
      onFailed: (error) => commits.fail(error),
    });
    this.#ended = new EndedProducers({
      commits,
      producers: this.#producers,
      log: this.#log,
      link: this.#link,
      nextRequest: () => context.nextRequest(),
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
    if (this.#mustStore(producer, item)) this.#store(stream, item, waiter);
    else if (item.firstSequence < stream.sender.nextSequence) {
      this.#sendLoose(stream, item, waiter);
    } else {
      stream.queue(item, newTag(item, [waiter], ++this.#order));
      this.#send(stream);
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
    return !this.#isMoving && this.#fits(batch.length);
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
    const refusal = stream.refusalOf(waiter.first, waiter.last);
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

  // The safe road

  #store(stream: PublishStream, item: OutboxItem, waiter: Waiter): void {
    // A batch that has begun is finished: a refusal would cover what is stored.
    const hasBegun = item.firstSequence > waiter.first;
    if (!hasBegun) this.#checkSpace(item.batch.length);
    this.#shift(stream.producer.streams.values());
    if (item.firstSequence <= stream.storedLast) {
      // Older than what was on its way: the broker had answered it.
      return this.#answerKnown(stream, waiter);
    }
    if (waiter.wantsBroker) stream.outboxWaiters.push(waiter);
    this.#log.store(stream, item, {
      onDisk: () => {
        answer(waiter, LEVEL.daemon, null);
        this.#drain.wake();
      },
    });
  }

  /** Whether there is room for so much, and for what must be stored before it. */
  #fits(bytes: number): boolean {
    const { commits, outboxBytesMax } = this.#context;
    return this.bytes + bytes <= outboxBytesMax &&
      commits.store.canAppend(bytes + this.#pace.fastBytes);
  }

  #checkSpace(bytes: number): void {
    if (this.#fits(bytes)) return;
    const { outboxBytesMax } = this.#context;
    if (this.bytes + bytes > outboxBytesMax) {
      throw new MomError(
        "outbox_full",
        `Cannot publish: the outbox holds ${this.bytes} of ${outboxBytesMax} bytes`,
      );
    }
    throw new MomError(
      "storage_full",
      "Cannot publish: the disk of this machine is full",
    );
  }

  /**
   * Takes everything unanswered of some streams to the outbox; it stays on its way.
   * In the order in which it was sent: a producer's messages keep their order over
   * its topics, too.
   */
  #shift(streams: Iterable<PublishStream>): void {
    const all = [...streams];
    const shifted = new Set<PublishStream>();
    for (const [stream, batch] of this.#unstored(all)) {
      shifted.add(stream);
      stream.unstored = 0;
      this.#storeSent(stream, batch);
    }
    if (shifted.size > 0) this.#pace.stored(shifted);
    if (!this.#link.isUp) this.#letGo(all);
  }

  /** Without a link nothing that is stored is on its way: the next drain finds it. */
  #letGo(streams: Iterable<PublishStream>): void {
    for (const stream of streams) {
      if (stream.unstored > 0) stream.sender.rewind();
      else if (stream.sender.size > 0) stream.detach();
    }
    this.#log.releaseAll();
  }

  /** The batches without an answer that do not go to the outbox, as they came. */
  #unstored(
    streams: Iterable<PublishStream>,
  ): [PublishStream, PendingBatch<BatchTag>][] {
    const found: [PublishStream, PendingBatch<BatchTag>][] = [];
    for (const stream of new Set(streams)) {
      if (stream.unstored === 0) continue;
      for (const batch of stream.sender) {
        if (!batch.tag.isStored) found.push([stream, batch]);
      }
    }
    return found.sort(([, a], [, b]) => a.tag.order - b.tag.order);
  }

  #storeSent(stream: PublishStream, batch: PendingBatch<BatchTag>): void {
    const { tag } = batch;
    tag.isStored = true;
    this.#log.store(stream, itemOf(stream, batch), {
      onPiece: (from, to) => {
        if (tag.isDone) return this.#log.settle(from, to);
        if (tag.isDetached) return;
        tag.stored.push([from, to]);
        this.#log.take(from, to);
      },
      onDisk: () => {
        for (const waiter of tag.waiters) {
          stream.answerStored(waiter);
        }
        tag.waiters = tag.waiters.filter((waiter) => waiter.wantsBroker);
        this.#drain.wake();
      },
    });
  }

  /**
   * Nothing moves, or too slowly. Whoever has something on its way has it stored,
   * with all that this producer sent since: order holds over its topics.
   */
  #stall(): void {
    const streams: PublishStream[] = [];
    for (const producer of this.#pace.producers) {
      streams.push(...producer.streams.values());
    }
    this.#shiftIfRoom(streams);
    this.#wake();
  }

  /** To be called a few times a second: there may be room again for what stayed in memory. */
  tick(): void {
    this.#drain.wake();
    if (this.#link.isUp && !this.#pace.isStalled) return;
    this.#shiftIfRoom(this.#producers.streams());
  }

  #shiftIfRoom(streams: Iterable<PublishStream>): void {
    const kept = this.#unstored(streams);
    if (kept.length === 0) return;
    const bytes = kept.reduce((sum, [, batch]) => sum + batch.bytes.length, 0);
    const { store } = this.#context.commits;
    if (store.canAppend(bytes)) this.#shift(kept.map(([stream]) => stream));
  }

  // The link

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
    this.#cancelRetry();
    const streams = [...this.#producers.streams()];
    for (const { producer } of streams) producer.gate = null;
    this.#letGo(streams);
    this.#shiftIfRoom(streams);
    const lost = new MomError("outcome_unknown", "The link ended too early");
    this.#loose.refuseAll(lost);
    this.#wake();
  }

  /** A RECEIPT of the broker. */
  onReceipt(message: Receipt): void {
    const { request, offset } = message;
    const loose = this.#takeLoose(request);
    if (loose !== undefined) {
      const { stream, waiter, isWhole } = loose;
      return stream.answer(waiter, LEVEL.broker, isWhole ? offset : null);
    }
    const stream = this.#pace.answered(request);
    const batch = stream?.sender.answered(request) ?? null;
    if (stream === null || batch === null) return;
    const last = batch.firstSequence + batch.count - 1;
    stream.noteHad(last, this.#context.base.brokerEpoch);
    this.#done(stream, batch, offset);
    this.#goOn(stream);
  }

  /** An ERROR of the broker; gives whether it was about a publish. */
  onError(message: ErrorMessage): boolean {
    const { request } = message;
    if (request === null) return false;
    const loose = this.#takeLoose(request);
    if (loose !== undefined) {
      // As it is: the app goes on from what the broker says it has.
      const { port, request } = loose.waiter;
      port.send({ ...message, request });
      return true;
    }
    const stream = this.#pace.answered(request);
    if (stream === null) return false;
    if (message.code === "out_of_sequence") {
      this.#repeat(stream, request, message);
    } else this.#refused(stream, request, asMomError(message));
    this.#goOn(stream);
    return true;
  }

  #takeLoose(request: number): Loose | undefined {
    const loose = this.#loose.take(request);
    if (loose !== undefined) this.#wake();
    return loose;
  }

  /**
   * The broker misses something before the batch. What has no receipt yet is the
   * app's to send again: only the app knows which of its numbers were refused for
   * good. What has one is repeated from here.
   */
  #repeat(stream: PublishStream, request: number, message: ErrorMessage): void {
    const { sender, producer } = stream;
    // A broker with an older store misses what it had, as this daemon knows: it is
    // counted, and the producer's other batches wait until this one is sent again.
    const isGone = this.#countLost(stream, message) > 0 &&
      producer.gate?.stream === stream;
    if (!isGone && sender.first()?.tag.isStored === false) {
      // All of it: were a later one stored meanwhile, those before it would count
      // as stored, too, when they come again.
      for (const waiter of stream.giveBack(request)) {
        waiter.port.send({ ...message, request: waiter.request });
      }
      return;
    }
    const last = lastOf(message);
    try {
      const known = sender.outOfSequence(request, last ?? 0);
      for (const batch of known) this.#done(stream, batch, null);
    } catch (error) {
      if (!(error instanceof MomError)) throw error;
      this.#context.onConfused(error);
    }
  }

  /** Tells, and gives, how much the broker has no more after its store was replaced by an older one. */
  #countLost(stream: PublishStream, message: ErrorMessage): number {
    const last = lastOf(message);
    const { base, onLost } = this.#context;
    if (last === null) return 0;
    // What has no receipt of this daemon's yet goes back to its app, which counts.
    const first = stream.sender.first()?.tag;
    const claimed = first?.isStored === true ? first.previous : 0;
    const count = stream.missing(last, base.brokerEpoch, claimed);
    if (count > 0) onLost(stream.producer, stream.topic, count);
    return count;
  }

  #refused(stream: PublishStream, request: number, error: MomError): void {
    if (error.retriable && mustStay(stream)) {
      // Answered already, at least in part: it is kept and tried again.
      stream.sender.rewind();
      return this.#retryLater();
    }
    const batch = stream.giveUp(request);
    if (batch === null) return;
    if (batch.tag.isStored) return this.#bury(stream, batch, error);
    for (const waiter of batch.tag.waiters) refuse(waiter, error);
  }

  /** Refused for good after a receipt: a dead letter, told, and the drain goes on. */
  #bury(
    stream: PublishStream,
    batch: PendingBatch<BatchTag>,
    error: MomError,
  ): void {
    const { topic, producer } = stream;
    // At once: what comes behind it may be done before it is buried.
    stream.noteRefused(batch, error);
    this.#log.bury(itemOf(stream, batch), error, () => {
      this.#done(stream, batch, null, error);
      this.#drain.wake();
      this.#context.commits.changed(stream);
      const rejected = { topic, count: batch.count, error };
      this.#context.commits.whenDone(() =>
        this.#context.onRejected(producer, rejected)
      );
    });
  }

  /** The broker has a batch, or it is a dead letter. */
  #done(
    stream: PublishStream,
    batch: PendingBatch<BatchTag>,
    offset: number | null,
    error?: MomError,
  ): void {
    const { tag } = batch;
    stream.finish(batch, offset, error);
    for (const [from, to] of tag.stored) this.#log.settle(from, to);
  }

  #goOn(stream: PublishStream): void {
    this.#openGate(stream);
    this.#send(stream);
    this.#drain.wake();
    this.#ended.tell();
    this.#wake();
  }

  // Sending

  #send(stream: PublishStream): void {
    if (!this.#link.isUp || this.#retryTimer !== null) return;
    const { sender, producer } = stream;
    while (sender.waiting > 0 && producer.gate === null) this.#sendOne(stream);
  }

  #sendOne(stream: PublishStream): void {
    const { sender, producer } = stream;
    const isUncertain = stream.isUncertain(this.#context.base.brokerEpoch);
    const request = this.#context.nextRequest();
    const batch = sender.next(request);
    if (batch === null) return;
    // The broker would refuse all of it, or end the connection, again and again.
    if (!this.#link.isTaken(batch.bytes)) {
      return this.#sendParts(stream, request, batch);
    }
    if (isUncertain) {
      const order = Array.from({ length: sender.waiting }, () => stream);
      producer.gate = { stream, order };
    }
    this.#pace.add(request, stream, batch.bytes.length, batch.tag.isStored);
    const { previous } = batch;
    this.#link.send(stream, request, { ...itemOf(stream, batch), previous });
  }

  /** Without the records that are too large: those are refused, and no others. */
  #sendParts(
    stream: PublishStream,
    request: number,
    batch: PendingBatch<BatchTag>,
  ): void {
    const { fitting, tooLarge } = this.#link.cut(batch.bytes);
    const { tag } = batch;
    const onDisk = tag.stored.reduce((sum, [from, to]) => sum + to - from, 0);
    if (tag.isStored && onDisk < batch.count) {
      // All of it must be on the disk first.
      stream.sender.rewind();
      return this.#retryLater();
    }
    if (fitting.length === 0) {
      return this.#refused(stream, request, tooLargeError(stream, batch.bytes));
    }
    for (const part of tooLarge) {
      const sequences = {
        firstSequence: batch.firstSequence + part.index,
        count: part.count,
      };
      const error = tooLargeError(stream, part.bytes);
      if (!tag.isStored) stream.noteRefused(sequences, error, false);
      else {
        const stored = cutRanges(tag.stored, part.index, part.count);
        this.#bury(stream, {
          ...batch,
          ...sequences,
          bytes: part.bytes,
          tag: { ...tag, waiters: [], stored },
        }, error);
      }
    }
    stream.replace(batch, fitting);
  }

  /** The broker has answered for the stream that the others wait for: they go on, in order. */
  #openGate(stream: PublishStream): void {
    const { producer } = stream;
    const { gate } = producer;
    if (gate?.stream !== stream || this.#retryTimer !== null) return;
    producer.gate = null;
    // What has to be sent again goes first.
    const again = stream.sender.waiting -
      gate.order.filter((each) => each === stream).length;
    const order = [
      ...Array.from({ length: Math.max(0, again) }, () => stream),
      ...gate.order,
    ];
    this.#sendInOrder(producer, order);
  }

  /** Sends a batch of each stream in turn; behind a gate the rest waits. */
  #sendInOrder(producer: Producer, order: readonly PublishStream[]): void {
    for (const [index, next] of order.entries()) {
      this.#sendOne(next);
      const { gate } = producer as { gate: Gate | null };
      if (gate === null) continue;
      gate.order.length = 0;
      gate.order.push(...order.slice(index + 1));
      return;
    }
  }

  /** What stayed in memory without a link goes out again, as it came. */
  #sendKept(): void {
    const kept = this.#unstored(this.#producers.streams());
    const byProducer = Map.groupBy(kept, ([{ producer }]) => producer);
    for (const [producer, list] of byProducer) {
      this.#sendInOrder(producer, list.map(([stream]) => stream));
    }
  }

  /** Older than what is on its way, and not known here: the broker decides. */
  #sendLoose(stream: PublishStream, item: OutboxItem, waiter: Waiter): void {
    const { fitting, tooLarge } = this.#link.cut(item.batch);
    for (const { index, count, bytes } of tooLarge) {
      const firstSequence = item.firstSequence + index;
      const error = tooLargeError(stream, bytes);
      if (fitting.length === 0) return refuse(waiter, error);
      stream.noteRefused({ firstSequence, count }, error, false);
    }
    let { previous } = item;
    let request = 0;
    for (const { index, count, bytes } of fitting) {
      request = this.#context.nextRequest();
      const firstSequence = item.firstSequence + index;
      const part = { ...item, previous, firstSequence, count, batch: bytes };
      this.#link.send(stream, request, part);
      previous = firstSequence + count - 1;
    }
    // The last one's answer is that to all: none is taken before those in front of it.
    // What the outbox has of it already is not sent, and its offset not known.
    const isWhole = item.firstSequence === waiter.first && fitting.length === 1;
    const bytes = item.batch.length;
    this.#loose.add(request, { stream, waiter, isWhole, bytes });
  }

  #retryLater(): void {
    this.#retryTimer ??= this.#context.clock.setTimer(RETRY_MS, () => {
      this.#retryTimer = null;
      for (const { gate } of this.#producers.all()) {
        if (gate !== null) this.#openGate(gate.stream);
      }
      for (const stream of this.#producers.streams()) this.#send(stream);
      this.#drain.wake();
    });
  }

  #cancelRetry(): void {
    this.#retryTimer?.cancel();
    this.#retryTimer = null;
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
    this.#cancelRetry();
    await this.#log.close();
    await this.#drain.close();
  }
}

function tooLargeError(
  { topic }: PublishStream,
  batch: Uint8Array,
): MomError {
  return new MomError(
    "message_too_large",
    `Cannot publish to "${topic}": ${batch.length} bytes are more than the broker takes`,
  );
}

/** The last sequence that the broker has, as it says; `null`: it says nothing of use. */
function lastOf({ details }: ErrorMessage): number | null {
  const last = details?.get("last");
  return Number.isSafeInteger(last) && (last as number) >= 0
    ? last as number
    : null;
}

/** Whether (some of) the oldest batch of a stream has a receipt, or lay in the outbox. */
function mustStay({ sender }: PublishStream): boolean {
  const first = sender.first();
  if (first === null) return false;
  const { isStored, waiters } = first.tag;
  return isStored || waiters.some((each) => each.first < first.firstSequence);
}
