/**
 * The publishing half of a handle. A record is encoded at once; what is
 * published in one turn of the event loop travels together: to one topic as a
 * PUBLISH, to several as a BUNDLE. While the connection is behind, or too much is
 * unanswered, more gathers. Everything leaves in the order of publishing, over all
 * topics. Nothing is given up because of a lost
 * connection: what was sent goes out again with the same sequences.
 *
 * ```text
 *   publish ─ TopicQueue: laid into batches ─ SendLine: their order ─ Flight: sent
 * ```
 *
 * @module
 */

import { ATTRIBUTE } from "../../../protocol/attributes.ts";
import { joined } from "../../../protocol/bundle.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { MomError } from "../../../protocol/errors.ts";
import { FEATURE } from "../../../protocol/features.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import {
  type ErrorMessage,
  LEVEL,
  type MessageNamed,
} from "../../../protocol/messages.ts";
import type { Peer } from "../../../protocol/peer.ts";
import { checkTopic } from "../../../protocol/topics.ts";
import type { Deadlines } from "../deadlines.ts";
import { Flight } from "./flight.ts";
import { type Bundled, orderOfPart } from "./gathering.ts";
import { giveUpDue, unknownOutcome } from "./giving_up.ts";
import type { PublishOptions } from "../options.ts";
import { publishGroup } from "./publish_group.ts";
import { DEFAULT_OPTIONS, readTerms } from "./publish_terms.ts";
import { PublishWait, type Receipt, type SingleCallers } from "./receipts.ts";
import { SchemaGate } from "./schema_gate.ts";
import { SendLine } from "./send_line.ts";
import {
  type BatchTerms,
  BufferPool,
  type Outgoing,
  type OutgoingBatch,
  TopicQueue,
} from "./topic_queue.ts";
import {
  checkValue,
  checkValues,
  topicName,
  TypedTopic,
} from "../typed_topic.ts";

/** What a publisher stands on. */
export interface PublisherOptions {
  clock: Clock;
  deadlines: Deadlines;
  /** The handle's id. */
  producer: Uint8Array;
  /** Numbers of requests, rising. */
  nextRequest(): number;
  /** The other side's store was replaced, and does not have what had been acknowledged. */
  onLost(topic: string, count: number): void;
}

/** A topic as apps name it. */
export type TopicLike = string | TypedTopic;

/** Bytes that wait to be written, above which records gather. */
const BEHIND_BYTES = 1024 * 1024;
/** While there is no connection, a batch takes records of so many milliseconds. */
const GATHER_MS = 50;

// One closure less for each publish: the constructor of a promise calls this at once.
let resolveOfLast!: (receipt: Receipt) => void;
let rejectOfLast!: (error: unknown) => void;
const keepLast = (
  resolve: (receipt: Receipt) => void,
  reject: (error: unknown) => void,
): void => {
  resolveOfLast = resolve;
  rejectOfLast = reject;
};

/** The publishing half of one handle. */
export class Publisher {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #producer: Uint8Array;
  readonly #nextRequest: () => number;
  readonly #pool = new BufferPool(LIMITS.messageBytes);
  readonly #queues = new Map<string, TopicQueue>();
  readonly #line = new SendLine();
  readonly #flight: Flight;
  /** What an asynchronous schema is still looking at; later publishes wait behind it. */
  #gate: SchemaGate | null = null;
  #peer: Peer | null = null;
  #isFlushQueued = false;
  /** When the first record of those was published that the next flush sends. */
  #turnMs = 0;
  #isDraining = false;
  #onIdle: (() => void) | null = null;
  #failure: MomError | null = null;
  /** Before this moment no wait without a connection has lasted too long. */
  #nextExpiryMs = 0;

  constructor(options: PublisherOptions) {
    this.#clock = options.clock;
    this.#deadlines = options.deadlines;
    this.#producer = options.producer;
    this.#nextRequest = options.nextRequest;
    this.#flight = new Flight({
      queues: this.#queues,
      onAgain: () => this.#lineUp(),
      onLost: options.onLost,
    });
  }

  /** The other side's store is another one: it may have less than was acknowledged. */
  replaced(): void {
    this.#flight.replaced();
  }

  /** Publishes one value. @throws What {@linkcode Mom.publish} rejects with. */
  publish(
    topic: TopicLike,
    value: unknown,
    options: PublishOptions = DEFAULT_OPTIONS,
  ): Promise<Receipt> {
    const queue = this.#queueOf(topic);
    const terms = readTerms(options);
    const verdict = topic instanceof TypedTopic
      ? checkValue(topic, value)
      : undefined;
    if (verdict !== undefined || this.#gate !== null) {
      return this.#behindGate(
        verdict,
        () => this.#publish(queue, value, options, terms),
      );
    }
    return this.#publish(queue, value, options, terms);
  }

  /** Publishes many values, or none if one of them cannot be sent. */
  publishMany(
    topic: TopicLike,
    values: readonly unknown[],
    options: PublishOptions = DEFAULT_OPTIONS,
  ): Promise<Receipt[]> {
    if (!Array.isArray(values)) {
      throw new TypeError("Cannot publish: values must be an array");
    }
    const queue = this.#queueOf(topic);
    const terms = readTerms(options);
    const verdict = topic instanceof TypedTopic
      ? checkValues(topic, values)
      : undefined;
    if (verdict !== undefined || this.#gate !== null) {
      return this.#behindGate(
        verdict,
        () => this.#publishMany(queue, values, options, terms),
      );
    }
    return this.#publishMany(queue, values, options, terms);
  }

  /** ATTACHED: everything unanswered goes out (again). */
  attached(
    peer: Peer,
    server: { role: "broker" | "daemon"; maxMessageBytes: number },
  ): void {
    this.#peer = peer;
    this.#flight.attached(server.role);
    this.#line.takesBundles = peer.features.has(FEATURE.bundles);
    this.#pool.messageBytesMax = server.maxMessageBytes;
    this.#nextExpiryMs = 0;
    this.#lineUp();
    this.#flush();
  }

  /** The connection is lost. */
  detached(): void {
    this.#peer = null;
    this.#flight.detached();
  }

  /** RECEIPT. */
  onReceipt(message: MessageNamed<"RECEIPT">): void {
    if (this.#flight.onReceipt(message)) this.#goOn();
  }

  /**
   * ERROR with a request.
   *
   * @returns Whether the request was one of this half.
   * @throws {MomError} `bad_message` if the answer contradicts the request.
   */
  onError(message: ErrorMessage): boolean {
    const isOurs = this.#flight.onError(message);
    if (isOurs) this.#goOn();
    return isOurs;
  }

  /**
   * There has been no connection for a while: ends the waits that have lasted
   * too long. What was never written to a connection is taken back.
   *
   * @param sinceMs When the connection was lost, on the monotonic clock.
   * @param timeoutMs How long a wait may last from then on.
   */
  expire(sinceMs: number, timeoutMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#nextExpiryMs) return;
    this.#nextExpiryMs = giveUpDue(this.#queues.values(), {
      nowMs,
      sinceMs,
      timeoutMs,
    });
    this.#tellIfIdle();
  }

  /** Resolves when nobody waits for an answer. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle = resolve);
  }

  /** Ends all waits: `outcome_unknown` for what may have been sent. */
  fail(error: MomError): void {
    this.#failure ??= error;
    this.#peer = null;
    for (const queue of this.#queues.values()) {
      queue.seal();
      for (const batch of queue.stream.clear()) {
        batch.tag.callers.reject(
          batch.sendings === 0 ? error : unknownOutcome(queue, error),
        );
      }
    }
    this.#line.clear();
    this.#flight.clear();
  }

  #queueOf(topic: TopicLike): TopicQueue {
    const name = topicName(topic);
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    checkTopic(name);
    if (name.startsWith("$")) {
      throw new MomError(
        "topic_invalid",
        `Cannot publish to "${name}": topics that begin with "$" are mom's own`,
      );
    }
    const queue = new TopicQueue(name, this.#pool, this.#line);
    queue.replacements = this.#flight.replacements;
    this.#queues.set(name, queue);
    return queue;
  }

  #publish(
    queue: TopicQueue,
    value: unknown,
    options: PublishOptions,
    terms: BatchTerms,
  ): Promise<Receipt> {
    // Here too: a schema may have taken its time.
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const callers = this.#append(queue, value, options, terms);
    const promise = new Promise<Receipt>(keepLast);
    const reject = rejectOfLast;
    callers.add(resolveOfLast, reject);
    if (options.timeoutMs !== undefined || options.signal !== undefined) {
      callers.addWait(
        new PublishWait(queue.topic, reject, this.#deadlines, options),
      );
    }
    return promise;
  }

  #append(
    queue: TopicQueue,
    value: unknown,
    options: PublishOptions,
    terms: BatchTerms,
  ): SingleCallers {
    // The clock is read for the first record of a turn, and while nothing can be sent.
    const beganMs = this.#line.openSinceMs;
    const isAway = this.#peer === null;
    if (!this.#isFlushQueued || isAway) {
      this.#turnMs = this.#clock.monotonicMs();
    }
    const nowMs = this.#turnMs;
    if (isAway && beganMs !== null && nowMs - beganMs > GATHER_MS) {
      this.#line.seal();
    }
    const callers = queue.append(value, options.headers, terms, nowMs);
    if (this.#line.openSinceMs === null) {
      // A full batch: whoever publishes much in one turn lets the others begin.
      this.#flush();
      this.#peer?.flush();
    }
    this.#flushSoon();
    return callers;
  }

  #publishMany(
    queue: TopicQueue,
    values: readonly unknown[],
    options: PublishOptions,
    terms: BatchTerms,
  ): Promise<Receipt[]> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (values.length === 0) return Promise.resolve([]);
    const context = {
      queue,
      pool: this.#pool,
      deadlines: this.#deadlines,
      nowMs: () => this.#clock.monotonicMs(),
    };
    const receipts = publishGroup(context, values, options, terms);
    this.#flushSoon();
    return receipts;
  }

  /** Behind what a schema is still looking at, so that the order holds. */
  #behindGate<R>(
    verdict: void | Promise<void>,
    go: () => Promise<R>,
  ): Promise<R> {
    this.#gate ??= new SchemaGate(() => {
      this.#gate = null;
      this.#tellIfIdle();
    });
    return this.#gate.pass(verdict, go);
  }

  /** Something goes out again: all that waits, in the order of publishing. */
  #lineUp(): void {
    const waiting: Outgoing[] = [];
    for (const queue of this.#queues.values()) waiting.push(...queue.waiting());
    this.#line.restart(waiting);
  }

  #flushSoon(): void {
    if (this.#isFlushQueued || this.#line.isEmpty) return;
    this.#isFlushQueued = true;
    // Two hops: what the continuations of this turn publish goes along.
    queueMicrotask(() =>
      queueMicrotask(() => {
        this.#isFlushQueued = false;
        this.#flush();
      })
    );
  }

  #flush(): void {
    const peer = this.#peer;
    if (peer === null) return;
    while (!this.#line.isEmpty && this.#flight.isOpen) {
      if (peer.bufferedBytes > BEHIND_BYTES) {
        return this.#flushWhenDrained(peer);
      }
      this.#sendNext(peer, this.#line.shift()!);
    }
  }

  #sendNext(peer: Peer, tag: Outgoing): void {
    // What gathers is closed by the first of it that goes out.
    if (tag.queue.isOpen(tag)) this.#line.seal();
    const { bundled } = tag;
    const parts: OutgoingBatch[] = [];
    for (
      let each: Outgoing | null = tag;
      each !== null;
      each = bundled === null || !this.#line.takesBundles
        ? null
        : this.#line.shiftBundled(tag)
    ) {
      // Not if it was taken back meanwhile.
      const part = each.queue.next(each, this.#nextRequest());
      if (part !== null) parts.push(part);
    }
    if (parts.length === 0) return;
    this.#flight.add(parts);
    if (parts.length === 1) this.#sendBatch(peer, parts[0]!);
    else this.#sendBundle(peer, bundled!, parts);
  }

  #sendBatch(peer: Peer, batch: OutgoingBatch): void {
    const { tag } = batch;
    peer.send({
      type: "PUBLISH",
      request: batch.request!,
      topic: tag.queue.topic,
      producer: this.#producer,
      previous: batch.previous,
      firstSequence: batch.firstSequence,
      count: batch.count,
      attributes: this.#attributesOf(tag),
      batch: batch.bytes,
      wanted: tag.isWanted ? LEVEL.broker : undefined,
    });
  }

  #sendBundle(
    peer: Peer,
    bundled: Bundled,
    batches: readonly OutgoingBatch[],
  ): void {
    const { tag } = batches[0]!;
    peer.send({
      type: "BUNDLE",
      producer: this.#producer,
      attributes: this.#attributesOf(tag),
      wanted: tag.isWanted ? LEVEL.broker : LEVEL.daemon,
      topics: batches.map((each) => each.tag.queue.topic),
      parts: batches.flatMap((each) => [
        each.request!,
        each.previous,
        each.firstSequence,
        each.count,
        each.bytes.length,
      ]),
      order: orderOfPart(bundled, batches),
      batch: joined(batches.map(({ bytes }) => bytes)),
    });
  }

  #attributesOf(tag: Outgoing): Map<number, unknown> | null {
    const { epoch, expiresMs } = tag;
    if (expiresMs === 0 && epoch === 0) return null;
    const attributes = new Map<number, unknown>();
    if (expiresMs !== 0) {
      const spentMs = this.#clock.monotonicMs() - tag.beganMs;
      const leftMs = Math.max(0, Math.floor(expiresMs - spentMs));
      attributes.set(ATTRIBUTE.expires, leftMs);
    }
    if (epoch !== 0) attributes.set(ATTRIBUTE.epoch, epoch);
    return attributes;
  }

  #flushWhenDrained(peer: Peer): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    void peer.drained(BEHIND_BYTES / 2).then(() => {
      this.#isDraining = false;
      this.#flush();
    });
  }

  #goOn(): void {
    this.#flushSoon();
    this.#tellIfIdle();
  }

  #isIdle(): boolean {
    if (this.#gate !== null) return false;
    for (const queue of this.#queues.values()) if (!queue.isIdle) return false;
    return true;
  }

  #tellIfIdle(): void {
    if (this.#onIdle === null || !this.#isIdle()) return;
    this.#onIdle();
    this.#onIdle = null;
  }
}
