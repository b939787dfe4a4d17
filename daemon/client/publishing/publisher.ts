/**
 * The publishing half of a handle. A record is encoded at once; what is
 * published to a topic in one turn of the event loop, with nothing to another
 * topic between, travels as one PUBLISH. While the connection is behind, or too
 * much is unanswered, records gather in larger batches. Everything leaves in the
 * order of publishing, over all topics. Nothing is given up because of a lost
 * connection: what was sent goes out again with the same sequences.
 *
 * @module
 */

import { ATTRIBUTE } from "../../../protocol/attributes.ts";
import { cutBatch } from "../../../protocol/batch.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { MomError } from "../../../protocol/errors.ts";
import { asMomError } from "../../../protocol/handshake.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import {
  type ErrorMessage,
  LEVEL,
  type MessageNamed,
} from "../../../protocol/messages.ts";
import type { Peer } from "../../../protocol/peer.ts";
import { checkTopic } from "../../../protocol/topics.ts";
import type { PendingBatch } from "../../stream.ts";
import type { Deadlines } from "../deadlines.ts";
import { giveUp, unknownOutcome } from "./giving_up.ts";
import type { PublishOptions } from "../options.ts";
import { DEFAULT_OPTIONS, readTerms } from "./publish_terms.ts";
import {
  GroupCaller,
  PublishWait,
  type Receipt,
  type SingleCallers,
} from "./receipts.ts";
import { SendLine } from "./send_line.ts";
import {
  type BatchTerms,
  BufferPool,
  type Outgoing,
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

/** Sent bytes without an answer, above which nothing more is sent. */
const WINDOW_BYTES = 32 * 1024 * 1024;
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
  /** What an asynchronous schema is still looking at; later publishes wait behind it. */
  #gate: Promise<void> | null = null;
  /** Who is to hear the answer to a request of this connection. */
  readonly #asked = new Map<number, TopicQueue>();
  readonly #onLost: (topic: string, count: number) => void;
  /** How often the other side's store was another one than before. */
  #replacements = 0;
  /**
   * The first request of a topic to a store that was replaced: how far that one has
   * come is not known. What is refused goes out again, so nothing overtakes it.
   */
  #probe: number | null = null;
  #peer: Peer | null = null;
  #serverLevel: "daemon" | "broker" = "daemon";
  /** Sent and not answered at all. */
  #windowBytes = 0;
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
    this.#onLost = options.onLost;
  }

  /** The other side's store is another one: it may have less than was acknowledged. */
  replaced(): void {
    this.#replacements++;
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
    this.#serverLevel = server.role;
    this.#pool.messageBytesMax = server.maxMessageBytes;
    this.#nextExpiryMs = 0;
    this.#lineUp();
    this.#flush();
  }

  /** The connection is lost. */
  detached(): void {
    this.#peer = null;
    this.#probe = null;
    this.#asked.clear();
    this.#windowBytes = 0;
    for (const queue of this.#queues.values()) {
      if (queue.stream.size === 0) continue;
      queue.stream.rewind();
      for (const batch of queue.stream) batch.tag.isNoted = false;
    }
  }

  /** RECEIPT. */
  onReceipt(message: MessageNamed<"RECEIPT">): void {
    const { request, level, offset } = message;
    const queue = this.#asked.get(request);
    if (queue === undefined) return;
    const isFinal = level === LEVEL.broker;
    this.#probed(queue, request);
    const noted = queue.stream.noted(request);
    if (noted === null) return;
    this.#leaveWindow(noted);
    if (!isFinal && noted.tag.isWanted) {
      noted.tag.isNoted = true;
      return this.#flushSoon();
    }
    this.#asked.delete(request);
    queue.stream.answered(request);
    noted.tag.callers.resolve({
      topic: queue.topic,
      level: isFinal ? "broker" : "daemon",
      offset,
    });
    this.#goOn();
  }

  /**
   * ERROR with a request.
   *
   * @returns Whether the request was one of this half.
   * @throws {MomError} `bad_message` if the answer contradicts the request.
   */
  onError(message: ErrorMessage): boolean {
    const request = message.request ?? -1;
    const queue = this.#asked.get(request);
    if (queue === undefined) return false;
    this.#asked.delete(request);
    const last = message.details?.get("last");
    if (message.code === "out_of_sequence" && isSequence(last)) {
      this.#sendAgain(queue, request, last);
    } else {
      const isPart = message.details?.has("refused") === true;
      const refused = isPart
        ? queue.stream.answered(request)
        : queue.stream.refused(request);
      if (refused !== null) {
        this.#leaveWindow(refused);
        if (isPart) rejectPart(refused, message);
        else refused.tag.callers.reject(asMomError(message));
      }
    }
    this.#probed(queue, request);
    this.#goOn();
    return true;
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
    let nextMs = nowMs + timeoutMs;
    for (const queue of this.#queues.values()) {
      if (queue.isIdle) continue;
      const { openSinceMs } = queue;
      if (openSinceMs !== null && openSinceMs + timeoutMs <= nowMs) {
        queue.seal();
      }
      for (const batch of [...queue.stream]) {
        const dueMs = Math.max(batch.tag.beganMs, sinceMs) + timeoutMs;
        if (batch.tag.isGivenUp) continue;
        if (dueMs <= nowMs) giveUp(queue, batch);
        else nextMs = Math.min(nextMs, dueMs);
      }
      if (queue.openSinceMs !== null) {
        nextMs = Math.min(nextMs, queue.openSinceMs + timeoutMs);
      }
    }
    this.#nextExpiryMs = nextMs;
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
    this.#asked.clear();
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
    queue.replacements = this.#replacements;
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
    const beganMs = queue.openSinceMs;
    const isAway = this.#peer === null;
    if (!this.#isFlushQueued || isAway) {
      this.#turnMs = this.#clock.monotonicMs();
    }
    const nowMs = this.#turnMs;
    if (isAway && beganMs !== null && nowMs - beganMs > GATHER_MS) queue.seal();
    const callers = queue.append(value, options.headers, terms, nowMs);
    if (queue.openSinceMs === null) {
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
    const records = this.#pool.lend();
    try {
      // All are encoded before anything is queued.
      for (const value of values) records.append(value, options.headers);
      const bytes = records.take();
      return new Promise((resolve, reject) => {
        const group = new GroupCaller(values.length, resolve, reject);
        if (options.timeoutMs !== undefined || options.signal !== undefined) {
          group.setWait(
            new PublishWait(queue.topic, reject, this.#deadlines, options),
          );
        }
        this.#pushGroup(queue, bytes, group, terms);
      });
    } finally {
      this.#pool.giveBack(records);
    }
  }

  #pushGroup(
    queue: TopicQueue,
    bytes: Uint8Array,
    group: GroupCaller,
    terms: BatchTerms,
  ): void {
    const nowMs = this.#clock.monotonicMs();
    let first = 0;
    for (let rest = bytes; rest.length > 0;) {
      const cut = cutBatch(rest, this.#pool.batchBytes);
      const part = group.part(first, cut.count);
      queue.push(rest.subarray(0, cut.bytes), cut.count, part, terms, nowMs);
      first += cut.count;
      rest = rest.subarray(cut.bytes);
    }
    this.#flushSoon();
  }

  /** Behind what a schema is still looking at, so that the order holds. */
  #behindGate<R>(
    verdict: void | Promise<void>,
    go: () => Promise<R>,
  ): Promise<R> {
    const before = this.#gate ?? Promise.resolve();
    const fits = Promise.resolve(verdict);
    // It is looked at only when its turn comes; a refusal until then is no stray one.
    fits.catch(() => {});
    const turn = before.then(() => fits).then(() => ({ result: go() }));
    const open = () => {
      if (this.#gate === gate) this.#gate = null;
      this.#tellIfIdle();
    };
    // The receipt is waited for by the caller, not by the gate.
    const gate: Promise<void> = turn.then(open, open);
    this.#gate = gate;
    return turn.then(({ result }) => result);
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
    while (!this.#line.isEmpty && this.#probe === null) {
      if (this.#windowBytes > WINDOW_BYTES) return;
      if (peer.bufferedBytes > BEHIND_BYTES) {
        return this.#flushWhenDrained(peer);
      }
      this.#sendNext(peer, this.#line.shift()!);
    }
  }

  #sendNext(peer: Peer, tag: Outgoing): void {
    const { queue } = tag;
    const request = this.#nextRequest();
    const batch = queue.next(tag, request);
    if (batch === null) return;
    this.#asked.set(request, queue);
    this.#windowBytes += batch.bytes.length;
    peer.send({
      type: "PUBLISH",
      request,
      topic: queue.topic,
      producer: this.#producer,
      previous: batch.previous,
      firstSequence: batch.firstSequence,
      count: batch.count,
      attributes: this.#attributesOf(tag),
      batch: batch.bytes,
      wanted: tag.isWanted ? LEVEL.broker : undefined,
    });
    if (queue.replacements !== this.#replacements) this.#probe = request;
  }

  /** The other side has told how far it has come in a topic. */
  #probed(queue: TopicQueue, request: number): void {
    if (request !== this.#probe) return;
    this.#probe = null;
    queue.replacements = this.#replacements;
  }

  #attributesOf(tag: Outgoing): Map<number, unknown> | null {
    if (tag.expiresMs === 0) return null;
    const spentMs = this.#clock.monotonicMs() - tag.beganMs;
    const leftMs = Math.max(0, Math.floor(tag.expiresMs - spentMs));
    return new Map([[ATTRIBUTE.expires, leftMs]]);
  }

  #flushWhenDrained(peer: Peer): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    void peer.drained(BEHIND_BYTES / 2).then(() => {
      this.#isDraining = false;
      this.#flush();
    });
  }

  #sendAgain(queue: TopicQueue, request: number, last: number): void {
    for (const batch of queue.stream) {
      if (batch.request === null) break;
      this.#asked.delete(batch.request);
      this.#leaveWindow(batch);
    }
    this.#countLost(queue, last);
    // A daemon that has a batch does not say whether the broker has it too.
    const whole = queue.stream.outOfSequence(
      request,
      last,
      ({ tag }) => this.#serverLevel === "broker" || !tag.isWanted,
    );
    for (const { tag } of whole) {
      tag.callers.resolve({
        topic: queue.topic,
        level: this.#serverLevel,
        offset: null,
      });
    }
    for (const batch of queue.stream) batch.tag.isNoted = false;
    this.#lineUp();
  }

  #countLost(queue: TopicQueue, last: number): void {
    const { accepted } = queue.stream;
    if (queue.replacements === this.#replacements) return;
    queue.replacements = this.#replacements;
    if (last < accepted) this.#onLost(queue.topic, accepted - last);
  }

  #leaveWindow(batch: PendingBatch<Outgoing>): void {
    if (!batch.tag.isNoted) this.#windowBytes -= batch.bytes.length;
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

/** Some records were refused as too large, the others have the level that is told. */
function rejectPart(
  { firstSequence, tag }: PendingBatch<Outgoing>,
  message: ErrorMessage,
): void {
  const sequences = message.details?.get("refused");
  const refused = new Set<number>();
  for (const each of Array.isArray(sequences) ? sequences : []) {
    refused.add(Number(each) - firstSequence);
  }
  const isBroker = message.details?.get("level") === LEVEL.broker;
  tag.callers.settle(
    {
      topic: tag.queue.topic,
      level: isBroker ? "broker" : "daemon",
      offset: null,
    },
    refused,
    asMomError(message),
  );
}

function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
