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

import {
  checkAttributes,
  remainingMs,
  withRemaining,
} from "../protocol/attributes.ts";
import { splitOffset } from "../protocol/batch.ts";
import type { Clock, Timer } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { asMomError } from "../protocol/handshake.ts";
import {
  type ErrorMessage,
  LEVEL,
  type Publish,
  type Receipt,
} from "../protocol/messages.ts";
import type { Port } from "./app_binding.ts";
import type { Commits } from "./commits.ts";
import type { OutboxItem } from "./outbox_item.ts";
import { OutboxLog } from "./outbox_log.ts";
import { lostError, OutboxLosses } from "./outbox_losses.ts";
import { Pace } from "./pace.ts";
import {
  answer,
  type BatchTag,
  itemOf,
  newTag,
  type PublishStream,
  refuse,
  type Waiter,
} from "./publish_stream.ts";
import { type Producer, Producers } from "./producers.ts";
import type { PendingBatch } from "./stream.ts";

/** Bytes of the outbox that may be on their way to the broker at a time. */
const DRAIN_WINDOW_BYTES = 4 * 1024 * 1024;
/** Bytes of fast publishes without receipt, beyond which apps are read no more. */
const FAST_WINDOW_BYTES = 16 * 1024 * 1024;
/** Bytes on their way to this machine's disk, beyond which apps are read no more. */
const DIRTY_BYTES_MAX = 8 * 1024 * 1024;
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
  /** A number for a request to the broker; it grows. */
  nextRequest(): number;
  /** The broker refused for good what had a receipt of level `daemon`. */
  onRejected(producer: Producer, item: RejectedItem): void;
  /** What had a receipt of level `daemon` was damaged on this disk; topic `null`: nobody knows whose. */
  onLost(producer: Producer | null, topic: string | null, count: number): void;
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
  /** Whose handle is gone, and what the broker was not told yet. */
  readonly #ended = new Set<Producer>();
  #port: Port | null = null;
  /** Rises with each link; what an older one began is not gone on with. */
  #generation = 0;
  /** Older than what is on its way: the broker alone knows of it. */
  readonly #loose = new Map<number, { waiter: Waiter; isWhole: boolean }>();
  #drainNext = 0;
  #draining: Promise<void> | null = null;
  /** The store could not be read: the daemon ends. */
  #isFailed = false;
  #retryTimer: Timer | null = null;
  #room: (() => void)[] = [];
  /** Counts the batches that came from apps. */
  #order = 0;

  constructor(context: OutboxContext) {
    const { commits, outboxLog, deadLog, clock } = context;
    this.#context = context;
    this.#log = new OutboxLog(commits, outboxLog, deadLog);
    this.#pace = new Pace(clock, () => this.#stall());
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
    if (damaged > 0) losses.tell(damaged, this.#context.onLost);
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

  /** Resolves when an app may be read on; `null` when it may at once. */
  room(): Promise<void> | null {
    const { store } = this.#context.commits;
    if (store.dirtyBytes > DIRTY_BYTES_MAX) return store.committed();
    if (this.#pace.fastBytes < FAST_WINDOW_BYTES) return null;
    return new Promise((resolve) => this.#room.push(resolve));
  }

  /**
   * Takes a PUBLISH of an app, already checked.
   *
   * @throws {MomError} `outbox_full`, `storage_full`, `unsupported`.
   */
  publish(port: Port, producer: Producer, message: Publish): void {
    checkAttributes(message.attributes);
    const { request, topic, firstSequence, count } = message;
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

  /** Whether the fast road is closed; with a full disk a stalled link is better than none. */
  #mustStore(producer: Producer, { batch }: OutboxItem): boolean {
    if (this.#port === null || producer.isInOutbox) return true;
    return this.#pace.isStalled && this.#hasRoom(batch.length);
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
      deadlineMs: left === null ? null : this.#context.clock.wallMs() + left,
      batch: message.batch,
    };
  }

  /** It was stored here before: the app has lost our answer. */
  #answerKnown(stream: PublishStream, waiter: Waiter): void {
    if (waiter.last <= stream.drainedLast) {
      return answer(waiter, LEVEL.broker, null);
    }
    this.#context.commits.whenDone(() => answer(waiter, LEVEL.daemon, null));
    if (waiter.wantsBroker) stream.outboxWaiters.push(waiter);
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
        this.#drain();
      },
    });
  }

  /** Whether there is room for so much, and for what must be stored before it. */
  #hasRoom(bytes: number): boolean {
    const { commits, outboxBytesMax } = this.#context;
    return this.bytes + bytes <= outboxBytesMax &&
      commits.store.canAppend(bytes + this.#pace.fastBytes);
  }

  #checkSpace(bytes: number): void {
    if (this.#hasRoom(bytes)) return;
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
    for (const [stream, batch] of this.#unstored(all)) {
      stream.unstored = 0;
      this.#storeSent(stream, batch);
    }
    if (this.#port === null) this.#letGo(all);
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
        for (const waiter of tag.waiters) answer(waiter, LEVEL.daemon, null);
        tag.waiters = tag.waiters.filter((waiter) => waiter.wantsBroker);
        this.#drain();
      },
    });
  }

  #stall(): void {
    this.#shiftKept();
    this.#wake();
  }

  /** To be called a few times a second: there may be room again for what stayed in memory. */
  tick(): void {
    if (this.#port === null || this.#pace.isStalled) this.#shiftKept();
  }

  #shiftKept(): void {
    const kept = this.#unstored(this.#producers.streams());
    if (kept.length === 0) return;
    const bytes = kept.reduce((sum, [, batch]) => sum + batch.bytes.length, 0);
    const { store } = this.#context.commits;
    if (store.canAppend(bytes)) this.#shift(kept.map(([stream]) => stream));
  }

  // The link

  /** There is a link: the outbox is drained over it. */
  linkUp(port: Port): void {
    this.#port = port;
    this.#generation++;
    this.#drainNext = this.#log.begin;
    this.#sendKept();
    this.#drain();
    this.#tellAllEnded();
  }

  /** The link is gone: what has no receipt goes to the outbox at once, if there is room. */
  linkDown(): void {
    this.#port = null;
    this.#pace.reset();
    this.#cancelRetry();
    this.#letGo(this.#producers.streams());
    this.#shiftKept();
    const lost = new MomError("outcome_unknown", "The link ended too early");
    for (const { waiter } of this.#loose.values()) refuse(waiter, lost);
    this.#loose.clear();
    this.#wake();
  }

  /** A RECEIPT of the broker. */
  onReceipt(message: Receipt): void {
    const { request, offset } = message;
    const loose = this.#takeLoose(request);
    if (loose !== undefined) {
      return answer(loose.waiter, LEVEL.broker, loose.isWhole ? offset : null);
    }
    const stream = this.#pace.answered(request);
    const batch = stream?.sender.answered(request) ?? null;
    if (stream === null || batch === null) return;
    this.#done(stream, batch, offset);
    this.#goOn(stream);
  }

  /** An ERROR of the broker; gives whether it was about a publish. */
  onError(message: ErrorMessage): boolean {
    const { request } = message;
    if (request === null) return false;
    const loose = this.#takeLoose(request);
    if (loose !== undefined) {
      refuse(loose.waiter, asMomError(message));
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

  #takeLoose(
    request: number,
  ): { waiter: Waiter; isWhole: boolean } | undefined {
    const loose = this.#loose.get(request);
    this.#loose.delete(request);
    return loose;
  }

  /**
   * The broker misses something before the batch. What has no receipt yet is the
   * app's to send again: only the app knows which of its numbers were refused for
   * good. What has one is repeated from here.
   */
  #repeat(stream: PublishStream, request: number, message: ErrorMessage): void {
    const { sender } = stream;
    if (sender.first()?.tag.isStored === false) {
      const batch = stream.giveUp(request);
      for (const { port, request } of batch?.tag.waiters ?? []) {
        port.send({ ...message, request });
      }
      return;
    }
    const last = message.details?.get("last");
    try {
      const from = typeof last === "number" ? last : 0;
      const known = sender.outOfSequence(request, from);
      for (const batch of known) this.#done(stream, batch, null);
    } catch (error) {
      if (!(error instanceof MomError)) throw error;
      this.#context.onConfused(error);
    }
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
    this.#log.bury(itemOf(stream, batch), error, () => {
      this.#done(stream, batch, null, error);
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
    this.#send(stream);
    this.#drain();
    this.#tellAllEnded();
    this.#wake();
  }

  // Sending

  #send(stream: PublishStream): void {
    if (this.#port === null || this.#retryTimer !== null) return;
    while (stream.sender.waiting > 0) this.#sendNext(stream);
  }

  #sendNext(stream: PublishStream): void {
    const request = this.#context.nextRequest();
    const batch = stream.sender.next(request);
    if (batch === null) return;
    this.#pace.add(request, stream, batch.bytes.length, batch.tag.isStored);
    const { previous } = batch;
    this.#sendItem(stream, request, { ...itemOf(stream, batch), previous });
  }

  #sendItem(stream: PublishStream, request: number, item: OutboxItem): void {
    const port = this.#port!;
    const { id: producer, user } = stream.producer;
    if (stream.producer.introduced !== this.#generation) {
      stream.producer.introduced = this.#generation;
      port.send({ type: "INTRODUCE", producer, user });
    }
    const { topic, firstSequence, count, previous, deadlineMs, batch } = item;
    const attributes = deadlineMs === null ? item.attributes : withRemaining(
      item.attributes,
      deadlineMs - this.#context.clock.wallMs(),
    );
    port.send({
      type: "PUBLISH",
      request,
      topic,
      producer,
      previous,
      firstSequence,
      count,
      attributes,
      batch,
      wanted: undefined,
    });
  }

  /** What stayed in memory without a link goes out again, as it came. */
  #sendKept(): void {
    const kept = this.#unstored(this.#producers.streams());
    for (const [stream] of kept) this.#sendNext(stream);
  }

  /** Older than what is on its way, and not known here: the broker decides. */
  #sendLoose(stream: PublishStream, item: OutboxItem, waiter: Waiter): void {
    const request = this.#context.nextRequest();
    // What the outbox has of it already is not sent, and its offset not known.
    const isWhole = item.firstSequence === waiter.first;
    this.#loose.set(request, { waiter, isWhole });
    this.#sendItem(stream, request, item);
  }

  #drain(): void {
    if (this.#draining !== null || !this.#canDrain()) return;
    this.#draining = this.#runDrain()
      .catch((error) => {
        this.#isFailed = true;
        this.#context.commits.fail(error);
      })
      .finally(() => {
        this.#draining = null;
        // Something may have come between the last look and here.
        this.#drain();
      });
  }

  #canDrain(): boolean {
    return this.#port !== null && this.#retryTimer === null &&
      !this.#isFailed && this.#pace.drainBytes < DRAIN_WINDOW_BYTES &&
      this.#drainNext < this.#log.end;
  }

  async #runDrain(): Promise<void> {
    while (this.#canDrain()) {
      const generation = this.#generation;
      const isOver = () =>
        generation !== this.#generation || this.#port === null;
      const next = await this.#log.read(this.#drainNext, (item, base) => {
        if (isOver()) return false;
        this.#drainItem(item, base);
        return true;
      }, (item) => this.#lost(item));
      if (!isOver()) this.#drainNext = next;
    }
  }

  #drainItem(item: OutboxItem, base: number): void {
    const producer = this.producer(item.producer, "");
    const stream = this.#producers.stream(producer, item.topic);
    const end = base + item.count;
    this.#log.take(base, end);
    stream.queue(item, newTag(item, [], 0, [base, end]));
    this.#send(stream);
  }

  /** A record's own parts are damaged: what else is known of it is told. */
  #lost(item: OutboxItem): void {
    const producer = this.producer(item.producer, "");
    const stream = this.#producers.stream(producer, item.topic);
    const { topic, count } = item;
    stream.leaveOutbox(item, lostError(count));
    this.#context.onLost(producer, topic, count);
  }

  #retryLater(): void {
    this.#retryTimer ??= this.#context.clock.setTimer(RETRY_MS, () => {
      this.#retryTimer = null;
      for (const stream of this.#producers.streams()) this.#send(stream);
      this.#drain();
    });
  }

  #cancelRetry(): void {
    this.#retryTimer?.cancel();
    this.#retryTimer = null;
  }

  #wake(): void {
    if (this.#room.length === 0) return;
    if (this.#pace.fastBytes >= FAST_WINDOW_BYTES) return;
    for (const wake of this.#room.splice(0)) wake();
  }

  // Ending

  /** A handle is gone for good: once nothing of it is left, the broker may forget it. */
  endProducer(id: Uint8Array): void {
    const producer = this.#producers.find(id);
    if (producer !== undefined) this.#end(producer);
  }

  /** As `endProducer`, for all but those that `isLiving`. */
  endAllBut(isLiving: (id: Uint8Array) => boolean): void {
    for (const producer of this.#producers.all()) {
      if (!isLiving(producer.id)) this.#end(producer);
    }
  }

  #end(producer: Producer): void {
    producer.isEnded = true;
    this.#ended.add(producer);
    this.#tellAllEnded();
  }

  #tellAllEnded(): void {
    for (const producer of this.#ended) {
      if (!this.#isNowhere(producer)) continue;
      // What the disk still holds would be sent again after a crash, to a broker
      // that has forgotten the sequences: first the trim, then ENDED.
      this.#context.commits.whenDone(() => this.#tellEnded(producer));
    }
  }

  /** Whether nothing of a producer is on its way, or would come back from the disk. */
  #isNowhere(producer: Producer): boolean {
    return producer.isIdle && producer.outboxEnd <= this.#log.begin;
  }

  #tellEnded(producer: Producer): void {
    const port = this.#port;
    if (port === null || !this.#ended.delete(producer)) return;
    if (producer.streams.size > 0) {
      const request = this.#context.nextRequest();
      port.send({ type: "ENDED", request, producer: producer.id });
    }
    for (const stream of producer.streams.values()) {
      stream.isEnded = true;
      this.#context.commits.changed(stream);
    }
    this.#producers.remove(producer);
  }

  /** Waits for reads and writes under way; nothing new begins. */
  async close(): Promise<void> {
    this.#port = null;
    this.#generation++;
    this.#pace.reset();
    this.#cancelRetry();
    await this.#log.close();
    await this.#draining;
  }
}

/** Whether (some of) the oldest batch of a stream has a receipt, or lay in the outbox. */
function mustStay({ sender }: PublishStream): boolean {
  const first = sender.first();
  if (first === null) return false;
  const { isStored, waiters } = first.tag;
  return isStored || waiters.some((each) => each.first < first.firstSequence);
}
