/**
 * Publishes on their way to the broker, on two roads (DESIGN: "two speeds").
 *
 * - **Fast**: the link is up and moves. A batch goes straight on; the broker's
 *   RECEIPT answers it.
 * - **Safe**: no link, or no receipt over it for a while. The batch, and before it
 *   every unanswered one of its stream, is committed to the outbox and answered
 *   with level `daemon`. While anything of a stream lies there, what comes
 *   later queues behind it, so that the stream stays in order.
 *
 * Both roads carry the same sequences; the broker skips what it has.
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
import { OffsetSet } from "../protocol/offset_set.ts";
import type { Port } from "./app_binding.ts";
import { Appender, cutPieces } from "./appender.ts";
import type { Ledger } from "./ledger.ts";
import {
  decodeOutboxMeta,
  encodeDeadMeta,
  encodeOutboxMeta,
  type OutboxItem,
} from "./outbox_item.ts";
import {
  type BatchTag,
  Producer,
  PublishStream,
  type Waiter,
} from "./publish_stream.ts";
import type { PendingBatch } from "./stream.ts";

/** Bytes of the outbox that may be on their way to the broker at a time. */
const DRAIN_WINDOW_BYTES = 4 * 1024 * 1024;
const READ_BYTES = 512 * 1024;
/** Bytes of fast publishes without receipt, beyond which apps are read no more. */
const FAST_WINDOW_BYTES = 16 * 1024 * 1024;
/** Bytes on their way to this machine's disk, beyond which apps are read no more. */
const DIRTY_BYTES_MAX = 8 * 1024 * 1024;
/**
 * Without a receipt for this long the link counts as stalled: bounds, and factor
 * of the usual time. Looked at in steps, and only believed at the second look: the
 * first may come late, with receipts lying unread because this process was busy.
 */
const STALL = { minMs: 50, maxMs: 150, factor: 4, checkMs: 20 } as const;
/** Wait before what the broker could not store is sent again. */
const RETRY_MS = 1_000;

/** What an outbox stands on. */
export interface OutboxContext {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly outboxBytesMax: number;
  /** The store's log of outbox items, and that of what the broker refused for good. */
  readonly outboxLog: number;
  readonly deadLog: number;
  /** A number for a request to the broker; it grows. */
  nextRequest(): number;
  /** The broker refused for good what had a receipt of level `daemon`. */
  onRejected(producer: Producer, item: RejectedItem): void;
  /** The broker's answers make no sense: the link is of no use. */
  onConfused(error: MomError): void;
}

/** What became a dead letter. */
export interface RejectedItem {
  readonly topic: string;
  readonly count: number;
  readonly error: MomError;
}

interface Sent {
  readonly stream: PublishStream;
  readonly sentMs: number;
  readonly bytes: number;
  readonly isDrain: boolean;
}

/** The publishes of this machine that the broker has not confirmed. */
export class Outbox {
  #context: OutboxContext;
  #appender: Appender;
  #dead: Appender;
  #producers = new Map<string, Producer>();
  #nextStreamKey = 1;
  /** Records of the outbox's log that the broker has, or that it refused for good. */
  #settled: OffsetSet;
  /** Those that stand in a sender. */
  #inSender = new OffsetSet();
  #drainNext = 0;
  #draining: Promise<void> | null = null;
  /** The store could not be read: the daemon ends. */
  #isFailed = false;
  #drainBytes = 0;
  // The link
  #port: Port | null = null;
  #generation = 0;
  #sent = new Map<number, Sent>();
  #sentBytes = 0;
  #loose = new Map<number, { waiter: Waiter; isWhole: boolean }>();
  #progressMs = 0;
  #usualMs = 5;
  #isStalled = false;
  #isDoubted = false;
  #stallTimer: Timer | null = null;
  #retryTimer: Timer | null = null;
  #room: (() => void)[] = [];

  constructor(context: OutboxContext) {
    this.#context = context;
    this.#appender = new Appender(context.ledger, context.outboxLog);
    this.#dead = new Appender(context.ledger, context.deadLog);
    this.#settled = new OffsetSet(
      context.ledger.store.begin(context.outboxLog),
    );
  }

  /** Takes the streams that were stored and counts what lies in the outbox. */
  async load(entries: Map<number, Uint8Array>): Promise<void> {
    const producerOf = (id: Uint8Array, user: string) =>
      this.producer(id, user);
    for (const [key, bytes] of entries) {
      const stream = PublishStream.load(key, bytes, producerOf);
      stream.producer.streams.set(stream.topic, stream);
      this.#nextStreamKey = Math.max(this.#nextStreamKey, key + 1);
    }
    const { store } = this.#context.ledger;
    const log = this.#context.outboxLog;
    for (let next = store.begin(log); next < store.committedEnd(log);) {
      const results = await store.readInOrder([{ log, next }], READ_BYTES);
      if (results.length === 0) break;
      for (const result of results) {
        next = result.base + result.count;
        if ("damaged" in result) continue;
        const item = decodeOutboxMeta(result.meta, result.count, result.body);
        const stream = this.#stream(item.producer, item.topic);
        stream.outboxCount += item.count;
        stream.drainedLast = Math.min(
          stream.drainedLast,
          item.firstSequence - 1,
        );
      }
    }
  }

  /** Records in the outbox. */
  get messages(): number {
    const { store } = this.#context.ledger;
    const log = this.#context.outboxLog;
    return store.end(log) - store.begin(log) -
      this.#settled.countIn(store.begin(log), store.end(log));
  }

  /** Bytes in the outbox. */
  get bytes(): number {
    return this.#context.ledger.store.bytes(this.#context.outboxLog);
  }

  /** Publishes on the fast road without receipt. */
  get inFlight(): number {
    return this.#sent.size;
  }

  /** The producer of a handle. */
  producer(id: Uint8Array, user: string): Producer {
    const key = id.toHex();
    let producer = this.#producers.get(key);
    if (producer === undefined) {
      this.#producers.set(key, producer = new Producer(id, user));
    }
    return producer;
  }

  /** Resolves when an app may be read on; `null` when it may at once. */
  room(): Promise<void> | null {
    const { store } = this.#context.ledger;
    if (store.dirtyBytes > DIRTY_BYTES_MAX) return store.committed();
    if (this.#sentBytes - this.#drainBytes < FAST_WINDOW_BYTES) return null;
    return new Promise((resolve) => this.#room.push(resolve));
  }

  /**
   * Takes a PUBLISH of an app, already checked.
   *
   * @throws {MomError} `outbox_full`, `storage_full`, `unsupported`.
   */
  publish(port: Port, producer: Producer, message: Publish): void {
    checkAttributes(message.attributes);
    const stream = this.#streamOf(producer, message.topic);
    const last = message.firstSequence + message.count - 1;
    const wantsBroker = message.wanted === LEVEL.broker;
    const waiter: Waiter = {
      port,
      request: message.request,
      first: message.firstSequence,
      last,
      wantsBroker,
    };
    if (last <= stream.storedLast) return this.#answerKnown(stream, waiter);
    const left = remainingMs(message.attributes);
    const item = this.#rest(stream, {
      producer: producer.id,
      topic: message.topic,
      previous: message.previous,
      firstSequence: message.firstSequence,
      count: message.count,
      attributes: withRemaining(message.attributes, null),
      deadlineMs: left === null ? null : this.#context.clock.wallMs() + left,
      batch: message.batch,
    });
    if (this.#joinSender(stream, item, waiter)) return;
    if (this.#port === null || this.#isStalled || stream.isInOutbox) {
      this.#checkSpace(item.batch.length);
      this.#shift(stream);
      this.#storeNew(stream, item, waiter);
    } else if (item.firstSequence < stream.sender.nextSequence) {
      this.#sendLoose(stream, item, waiter);
    } else {
      this.#queue(stream, item, {
        waiters: [waiter],
        previous: item.previous,
        deadlineMs: item.deadlineMs,
        isStored: false,
        stored: [],
        isDetached: false,
        isDone: false,
      });
      this.#send(stream);
    }
  }

  // Taking

  #stream(producerId: Uint8Array, topic: string): PublishStream {
    return this.#streamOf(this.producer(producerId, ""), topic);
  }

  #streamOf(producer: Producer, topic: string): PublishStream {
    let stream = producer.streams.get(topic);
    if (stream === undefined) {
      stream = new PublishStream(this.#nextStreamKey++, producer, topic);
      producer.streams.set(topic, stream);
    }
    return stream;
  }

  /** It was stored here before: the app has lost our answer. */
  #answerKnown(stream: PublishStream, waiter: Waiter): void {
    if (waiter.last <= stream.drainedLast) {
      return answer(waiter, LEVEL.broker, null);
    }
    this.#context.ledger.after(() => answer(waiter, LEVEL.daemon, null));
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

  /** An app that lost its connection sends again what is on its way already. */
  #joinSender(
    stream: PublishStream,
    item: OutboxItem,
    waiter: Waiter,
  ): boolean {
    const { sender } = stream;
    if (sender.size === 0 || item.firstSequence >= sender.nextSequence) {
      return false;
    }
    for (const batch of sender) {
      const last = batch.firstSequence + batch.count - 1;
      if (batch.firstSequence > item.firstSequence || last !== waiter.last) {
        continue;
      }
      batch.tag.waiters.push(waiter);
      return true;
    }
    return false;
  }

  #checkSpace(bytes: number): void {
    const { ledger, outboxBytesMax } = this.#context;
    if (this.bytes + bytes > outboxBytesMax) {
      throw new MomError(
        "outbox_full",
        `Cannot publish: the outbox holds ${this.bytes} of ${outboxBytesMax} bytes`,
      );
    }
    if (!ledger.store.canAppend()) {
      throw new MomError(
        "storage_full",
        "Cannot publish: the disk of this machine is full",
      );
    }
  }

  // The safe road

  #storeNew(stream: PublishStream, item: OutboxItem, waiter: Waiter): void {
    if (waiter.wantsBroker) stream.outboxWaiters.push(waiter);
    this.#store(
      stream,
      item,
      () => {},
      () => answer(waiter, LEVEL.daemon, null),
    );
  }

  #store(
    stream: PublishStream,
    item: OutboxItem,
    onPiece: (from: number, to: number) => void,
    onDisk: () => void,
  ): void {
    const { ledger } = this.#context;
    stream.outboxCount += item.count;
    for (const { bytes, count, index } of cutPieces(item.batch)) {
      const firstSequence = item.firstSequence + index;
      const previous = index === 0 ? item.previous : firstSequence - 1;
      const piece: OutboxItem = {
        ...item,
        previous,
        firstSequence,
        count,
        batch: bytes,
      };
      const isLast = index + count === item.count;
      this.#appender.append({
        count,
        body: bytes,
        meta: () => encodeOutboxMeta(piece),
        done: (base) => {
          stream.storedLast = Math.max(
            stream.storedLast,
            firstSequence + count - 1,
          );
          ledger.touch(stream);
          onPiece(base, base + count);
          if (isLast) {
            ledger.after(() => {
              onDisk();
              this.#drain();
            });
          }
        },
      });
    }
  }

  /** Takes everything unanswered of a stream to the outbox; it stays on its way. */
  #shift(stream: PublishStream): void {
    if (stream.unstored === 0) return;
    stream.unstored = 0;
    for (const batch of stream.sender) {
      const { tag } = batch;
      if (tag.isStored) continue;
      tag.isStored = true;
      this.#store(stream, itemOf(stream, batch), (from, to) => {
        if (tag.isDone) return this.#settle(from, to);
        if (tag.isDetached) return;
        tag.stored.push([from, to]);
        this.#inSender.add(from, to);
      }, () => {
        for (const waiter of tag.waiters) answer(waiter, LEVEL.daemon, null);
        tag.waiters = tag.waiters.filter((waiter) => waiter.wantsBroker);
      });
    }
  }

  // The link

  /** There is a link: the outbox is drained over it. */
  linkUp(port: Port): void {
    this.#port = port;
    this.#generation++;
    this.#isStalled = false;
    this.#drainNext = this.#settled.floor;
    this.#drain();
    for (const producer of this.#producers.values()) this.#tellEnded(producer);
  }

  /** The link is gone: what has no receipt goes to the outbox at once. */
  linkDown(): void {
    this.#port = null;
    this.#sent.clear();
    this.#sentBytes = 0;
    this.#drainBytes = 0;
    this.#cancelTimers();
    for (const producer of this.#producers.values()) {
      for (const stream of producer.streams.values()) this.#park(stream);
    }
    this.#inSender = new OffsetSet();
    for (const { waiter } of this.#loose.values()) {
      refuse(
        waiter,
        new MomError("outcome_unknown", "The link ended before the answer"),
      );
    }
    this.#loose.clear();
    this.#wake();
  }

  #park(stream: PublishStream): void {
    if (stream.sender.size === 0) return;
    this.#shift(stream);
    for (const { tag } of stream.sender) {
      stream.outboxWaiters.push(
        ...tag.waiters.filter((waiter) => waiter.wantsBroker),
      );
      // What is still being laid down is found by the next drain.
      tag.isDetached = true;
    }
    stream.outboxWaiters.sort((a, b) => a.last - b.last);
    stream.resetSender(0);
  }

  /** A RECEIPT of the broker. */
  onReceipt(message: Receipt): void {
    const loose = this.#loose.get(message.request);
    if (loose !== undefined) {
      this.#loose.delete(message.request);
      const offset = loose.isWhole ? message.offset : null;
      return answer(loose.waiter, LEVEL.broker, offset);
    }
    const sent = this.#progress(message.request);
    const batch = sent?.stream.sender.answered(message.request);
    if (sent === undefined || batch === null || batch === undefined) return;
    this.#done(sent.stream, batch, message.offset);
    this.#goOn(sent.stream);
  }

  /** An ERROR of the broker; gives whether it was about a publish. */
  onError(message: ErrorMessage): boolean {
    const { request } = message;
    if (request === null) return false;
    const loose = this.#loose.get(request);
    if (loose !== undefined) {
      this.#loose.delete(request);
      refuse(loose.waiter, asMomError(message));
      return true;
    }
    const sent = this.#progress(request);
    if (sent === undefined) return false;
    if (message.code === "out_of_sequence") {
      this.#repeat(sent.stream, request, message);
    } else this.#refused(sent.stream, request, asMomError(message));
    this.#goOn(sent.stream);
    return true;
  }

  /**
   * The broker misses something before the batch. What has no receipt yet is the
   * app's to send again: only the app knows which of its numbers were refused for
   * good. What has one is repeated from here.
   */
  #repeat(stream: PublishStream, request: number, message: ErrorMessage): void {
    const { sender } = stream;
    if (sender.first()?.tag.isStored === false) {
      const batch = sender.refused(request);
      if (batch !== null) stream.unstored--;
      for (const { port, request } of batch?.tag.waiters ?? []) {
        port.send({ ...message, request });
      }
      return;
    }
    const last = message.details?.get("last");
    try {
      const known = sender.outOfSequence(
        request,
        typeof last === "number" ? last : 0,
      );
      for (const batch of known) this.#done(stream, batch, null);
    } catch (error) {
      if (!(error instanceof MomError)) throw error;
      this.#context.onConfused(error);
    }
  }

  #refused(stream: PublishStream, request: number, error: MomError): void {
    if (stream.sender.first()?.tag.isStored && error.retriable) {
      // Answered already: it is kept and tried again.
      stream.sender.rewind();
      this.#retryLater();
      return;
    }
    const batch = stream.sender.refused(request)!;
    if (batch.tag.isStored) this.#bury(stream, batch, error);
    else for (const waiter of batch.tag.waiters) refuse(waiter, error);
  }

  /** Refused for good after a receipt: a dead letter, told, and the drain goes on. */
  #bury(
    stream: PublishStream,
    batch: PendingBatch<BatchTag>,
    error: MomError,
  ): void {
    const { ledger } = this.#context;
    const item = itemOf(stream, batch);
    for (const { bytes, count, index } of cutPieces(batch.bytes)) {
      const isLast = index + count === batch.count;
      this.#dead.append({
        count,
        body: bytes,
        meta: () => encodeDeadMeta(item, error),
        done: () => {
          if (isLast) this.#done(stream, batch, null, error);
        },
      });
    }
    const rejected = { topic: stream.topic, count: batch.count, error };
    ledger.after(() => this.#context.onRejected(stream.producer, rejected));
  }

  /** The broker has a batch, or it is a dead letter. */
  #done(
    stream: PublishStream,
    batch: PendingBatch<BatchTag>,
    offset: number | null,
    error?: MomError,
  ): void {
    const { tag } = batch;
    tag.isDone = true;
    for (const waiter of tag.waiters) {
      // An app may ask again for a batch together with what came before it.
      const first = waiter.first === batch.firstSequence ? offset : null;
      if (error === undefined) answer(waiter, LEVEL.broker, first);
      else refuse(waiter, error);
    }
    tag.waiters = [];
    if (!tag.isStored) {
      stream.unstored--;
      return;
    }
    const last = batch.firstSequence + batch.count - 1;
    stream.outboxCount -= batch.count;
    stream.drainedLast = Math.max(stream.drainedLast, last);
    for (const [from, to] of tag.stored) {
      this.#inSender.remove(from, to);
      this.#settle(from, to);
    }
    while (
      stream.outboxWaiters.length > 0 && stream.outboxWaiters[0].last <= last
    ) {
      answer(stream.outboxWaiters.shift()!, LEVEL.broker, null);
    }
  }

  #settle(from: number, to: number): void {
    const before = this.#settled.floor;
    this.#settled.add(from, to);
    const { floor } = this.#settled;
    if (floor > before) {
      this.#context.ledger.trim(this.#context.outboxLog, floor);
    }
  }

  #goOn(stream: PublishStream): void {
    this.#send(stream);
    this.#drain();
    if (stream.producer.isEnded) this.#tellEnded(stream.producer);
    this.#wake();
  }

  // Sending

  #queue(stream: PublishStream, item: OutboxItem, tag: BatchTag): void {
    const { sender } = stream;
    if (sender.size === 0 && item.previous > sender.accepted) {
      stream.resetSender(item.previous);
    }
    if (!tag.isStored) stream.unstored++;
    stream.sender.push({
      firstSequence: item.firstSequence,
      count: item.count,
      attributes: item.attributes,
      bytes: item.batch,
      tag,
    });
  }

  #send(stream: PublishStream): void {
    if (this.#port === null || this.#retryTimer !== null) return;
    while (stream.sender.waiting > 0) {
      const request = this.#context.nextRequest();
      const batch = stream.sender.next(request)!;
      const bytes = batch.bytes.length;
      const sentMs = this.#context.clock.monotonicMs();
      const isDrain = batch.tag.isStored;
      if (this.#sent.size === 0) this.#progressMs = sentMs;
      this.#sent.set(request, { stream, sentMs, bytes, isDrain });
      this.#sentBytes += bytes;
      if (isDrain) this.#drainBytes += bytes;
      this.#sendBatch(stream, request, {
        ...itemOf(stream, batch),
        previous: batch.previous,
      });
    }
    this.#watch();
  }

  #sendBatch(stream: PublishStream, request: number, item: OutboxItem): void {
    const port = this.#port!;
    const { producer } = stream;
    if (producer.introduced !== this.#generation) {
      producer.introduced = this.#generation;
      port.send({
        type: "INTRODUCE",
        producer: producer.id,
        user: producer.user,
      });
    }
    const { clock } = this.#context;
    const left = item.deadlineMs === null
      ? null
      : item.deadlineMs - clock.wallMs();
    port.send({
      type: "PUBLISH",
      request,
      topic: item.topic,
      producer: producer.id,
      previous: item.previous,
      firstSequence: item.firstSequence,
      count: item.count,
      attributes: left === null
        ? item.attributes
        : withRemaining(item.attributes, left),
      batch: item.batch,
      wanted: undefined,
    });
  }

  /** Older than what is on its way, and not known here: the broker decides. */
  #sendLoose(stream: PublishStream, item: OutboxItem, waiter: Waiter): void {
    const request = this.#context.nextRequest();
    // What the outbox has of it already is not sent, and its offset not known.
    const isWhole = item.firstSequence === waiter.first;
    this.#loose.set(request, { waiter, isWhole });
    this.#sendBatch(stream, request, item);
  }

  #drain(): void {
    if (this.#draining !== null || !this.#canDrain()) return;
    this.#draining = this.#runDrain()
      .catch((error) => {
        this.#isFailed = true;
        this.#context.ledger.fail(error);
      })
      .finally(() => {
        this.#draining = null;
        // Something may have come between the last look and here.
        this.#drain();
      });
  }

  #canDrain(): boolean {
    const { ledger, outboxLog } = this.#context;
    return this.#port !== null && this.#retryTimer === null &&
      !this.#isFailed &&
      this.#drainBytes < DRAIN_WINDOW_BYTES &&
      this.#drainNext < ledger.store.committedEnd(outboxLog);
  }

  async #runDrain(): Promise<void> {
    const { ledger, outboxLog: log } = this.#context;
    while (this.#canDrain()) {
      const generation = this.#generation;
      const end = ledger.store.committedEnd(log);
      const results = await ledger.store.readInOrder([{
        log,
        next: this.#drainNext,
      }], READ_BYTES);
      for (const result of results) {
        const { base, count } = result;
        if ("damaged" in result) this.#settle(base, base + count);
        else if (!this.#settled.has(base) && !this.#inSender.has(base)) {
          const body = result.blob === null
            ? result.body
            : await ledger.store.readBlob(result.blob);
          if (generation !== this.#generation || this.#port === null) return;
          this.#drainItem(decodeOutboxMeta(result.meta, count, body), base);
        }
        if (generation !== this.#generation) return;
        this.#drainNext = base + count;
      }
      // What was trimmed meanwhile needs no draining.
      if (results.length === 0) {
        this.#drainNext = Math.max(this.#drainNext, end);
      }
    }
  }

  #drainItem(item: OutboxItem, base: number): void {
    const stream = this.#stream(item.producer, item.topic);
    if (
      item.firstSequence < stream.sender.nextSequence &&
      stream.sender.size === 0
    ) {
      stream.resetSender(Math.min(item.previous, item.firstSequence - 1));
    }
    const end = base + item.count;
    this.#inSender.add(base, end);
    this.#queue(stream, item, {
      waiters: [],
      previous: item.previous,
      deadlineMs: item.deadlineMs,
      isStored: true,
      stored: [[base, end]],
      isDetached: false,
      isDone: false,
    });
    this.#send(stream);
  }

  // Progress

  /** An answer came: the link moves. */
  #progress(request: number): Sent | undefined {
    const sent = this.#sent.get(request);
    if (sent === undefined) return undefined;
    this.#sent.delete(request);
    this.#sentBytes -= sent.bytes;
    if (sent.isDrain) this.#drainBytes -= sent.bytes;
    this.#progressMs = this.#context.clock.monotonicMs();
    this.#usualMs += (this.#progressMs - sent.sentMs - this.#usualMs) / 8;
    this.#isStalled = false;
    return sent;
  }

  #stall(): void {
    this.#isStalled = true;
    for (const stream of this.#movingStreams()) this.#shift(stream);
    this.#wake();
  }

  /** The streams with something on its way. */
  #movingStreams(): Set<PublishStream> {
    const streams = new Set<PublishStream>();
    for (const { stream } of this.#sent.values()) streams.add(stream);
    return streams;
  }

  #watch(): void {
    if (this.#stallTimer !== null || this.#sent.size === 0) return;
    this.#stallTimer = this.#context.clock.setTimer(
      STALL.checkMs,
      () => this.#check(),
    );
  }

  #check(): void {
    this.#stallTimer = null;
    if (this.#sent.size === 0) return;
    const silentMs = this.#context.clock.monotonicMs() - this.#progressMs;
    const patienceMs = Math.min(
      STALL.maxMs,
      Math.max(STALL.minMs, STALL.factor * this.#usualMs),
    );
    if (silentMs < patienceMs) this.#isDoubted = false;
    else if (!this.#isDoubted) this.#isDoubted = true;
    else if (!this.#isStalled) this.#stall();
    this.#watch();
  }

  #retryLater(): void {
    this.#retryTimer ??= this.#context.clock.setTimer(RETRY_MS, () => {
      this.#retryTimer = null;
      for (const producer of this.#producers.values()) {
        for (const stream of producer.streams.values()) this.#send(stream);
      }
      this.#drain();
    });
  }

  #cancelTimers(): void {
    this.#stallTimer?.cancel();
    this.#retryTimer?.cancel();
    this.#stallTimer = this.#retryTimer = null;
  }

  #wake(): void {
    if (
      this.#room.length === 0 ||
      this.#sentBytes - this.#drainBytes >= FAST_WINDOW_BYTES
    ) return;
    for (const wake of this.#room.splice(0)) wake();
  }

  // Ending

  /** A handle is gone for good: once nothing of it is left, the broker may forget it. */
  endProducer(id: Uint8Array): void {
    const producer = this.#producers.get(id.toHex());
    if (producer === undefined) return;
    producer.isEnded = true;
    this.#tellEnded(producer);
  }

  #tellEnded(producer: Producer): void {
    if (!producer.isEnded || this.#port === null) return;
    for (const stream of producer.streams.values()) if (!stream.isIdle) return;
    if (producer.streams.size > 0) {
      this.#port.send({
        type: "ENDED",
        request: this.#context.nextRequest(),
        producer: producer.id,
      });
    }
    for (const stream of producer.streams.values()) {
      stream.isEnded = true;
      this.#context.ledger.touch(stream);
    }
    this.#producers.delete(producer.id.toHex());
  }

  /** Waits for reads and writes under way; nothing new begins. */
  async close(): Promise<void> {
    this.#port = null;
    this.#generation++;
    this.#cancelTimers();
    await this.#appender.end();
    await this.#dead.end();
    await this.#draining;
  }
}

function itemOf(
  stream: PublishStream,
  batch: PendingBatch<BatchTag>,
): OutboxItem {
  return {
    producer: stream.producer.id,
    topic: stream.topic,
    previous: batch.tag.previous,
    firstSequence: batch.firstSequence,
    count: batch.count,
    attributes: batch.attributes,
    deadlineMs: batch.tag.deadlineMs,
    batch: batch.bytes,
  };
}

function answer(waiter: Waiter, level: 0 | 1, offset: number | null): void {
  waiter.port.send({ type: "RECEIPT", request: waiter.request, level, offset });
}

function refuse(waiter: Waiter, error: MomError): void {
  waiter.port.refuse(error, waiter.request);
}
