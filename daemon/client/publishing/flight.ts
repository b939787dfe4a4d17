/**
 * The batches of a handle that are on their way: who hears an answer, how much has
 * none, and what goes out again (PROTOCOL 8.2, 8.3). No I/O: its owner sends.
 *
 * @module
 */

import { asMomError } from "../../../protocol/handshake.ts";
import {
  type ErrorMessage,
  LEVEL,
  type MessageNamed,
} from "../../../protocol/messages.ts";
import type { Bundled } from "./gathering.ts";
import type { OutgoingBatch, TopicQueue } from "./topic_queue.ts";

/** Sent bytes without an answer, above which nothing more is sent. */
const WINDOW_BYTES = 32 * 1024 * 1024;
const NONE: readonly number[] = [];

/** What it stands on. */
export interface FlightOptions {
  /** Those of all topics. */
  readonly queues: ReadonlyMap<string, TopicQueue>;
  /** Something goes out again: what waits is to be put in order. */
  onAgain(): void;
  /** The other side's store was replaced, and does not have what had been acknowledged. */
  onLost(topic: string, count: number): void;
}

/** What is on its way of one handle. */
export class Flight {
  readonly #options: FlightOptions;
  /** What is to hear the answer to a request of this connection. */
  readonly #asked = new Map<number, OutgoingBatch>();
  /** How often the other side's store was another one than before. */
  #replacements = 0;
  /**
   * Requests that nothing overtakes before they have an answer, since they may go out
   * again. The first of a topic to a store that was replaced: how far that one has
   * come is not known; with all parts of its bundle (PROTOCOL 12.7). And those of a
   * bundle of which a part goes out again, as the others will.
   */
  readonly #awaited = new Set<number>();
  #serverLevel: "daemon" | "broker" = "daemon";
  /** Sent and not answered at all. */
  #windowBytes = 0;

  constructor(options: FlightOptions) {
    this.#options = options;
  }

  /** Whether more may be sent. */
  get isOpen(): boolean {
    return this.#awaited.size === 0 && this.#windowBytes <= WINDOW_BYTES;
  }

  /** How often the other side's store was another one than before. */
  get replacements(): number {
    return this.#replacements;
  }

  /** The other side's store is another one: it may have less than was acknowledged. */
  replaced(): void {
    this.#replacements++;
  }

  /** There is a connection. */
  attached(serverLevel: "daemon" | "broker"): void {
    this.#serverLevel = serverLevel;
  }

  /** The connection is lost: all of it goes out again. */
  detached(): void {
    this.clear();
    for (const queue of this.#options.queues.values()) {
      if (queue.stream.size === 0) continue;
      queue.stream.rewind();
      for (const batch of queue.stream) batch.tag.isNoted = false;
    }
  }

  /** No answer will come. */
  clear(): void {
    this.#awaited.clear();
    this.#asked.clear();
    this.#windowBytes = 0;
  }

  /** Batches go out, as one message. */
  add(batches: readonly OutgoingBatch[]): void {
    let isFirst = false;
    for (const batch of batches) {
      const { queue } = batch.tag;
      this.#asked.set(batch.request!, batch);
      this.#windowBytes += batch.bytes.length;
      if (queue.replacements !== this.#replacements) isFirst = true;
    }
    const { bundled } = batches[0]!.tag;
    if (bundled === null && !isFirst) return;
    const requests = batches.map(({ request }) => request!);
    if (bundled !== null) bundled.requests = requests;
    if (!isFirst) return;
    for (const each of requests) this.#awaited.add(each);
  }

  /** RECEIPT. @returns Whether it changed anything. */
  onReceipt({ request, level, offset }: MessageNamed<"RECEIPT">): boolean {
    const queue = this.#asked.get(request)?.tag.queue;
    if (queue === undefined) return false;
    const isFinal = level === LEVEL.broker;
    this.#probed(queue, request);
    const noted = queue.stream.noted(request);
    if (noted === null) return false;
    this.#leaveWindow(noted);
    if (!isFinal && noted.tag.isWanted) {
      noted.tag.isNoted = true;
      return true;
    }
    this.#asked.delete(request);
    queue.stream.answered(request);
    noted.tag.callers.resolve({
      topic: queue.topic,
      level: isFinal ? "broker" : "daemon",
      offset,
    });
    return true;
  }

  /**
   * ERROR with a request.
   *
   * @returns Whether the request is one of these.
   * @throws {MomError} `bad_message` if the answer contradicts the request.
   */
  onError(message: ErrorMessage): boolean {
    const request = message.request ?? -1;
    const queue = this.#asked.get(request)?.tag.queue;
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
    return true;
  }

  /** The other side has told how far it has come in a topic. */
  #probed(queue: TopicQueue, request: number): void {
    queue.replacements = this.#replacements;
    this.#awaited.delete(request);
  }

  #sendAgain(queue: TopicQueue, request: number, last: number): void {
    for (const batch of queue.stream) {
      if (batch.request === null) break;
      this.#asked.delete(batch.request);
      this.#awaited.delete(batch.request);
      this.#leaveWindow(batch);
      this.#awaitOthers(batch.tag.bundled);
    }
    this.#countLost(queue, last);
    // A daemon that has a batch does not say whether the broker has it too.
    const whole = queue.stream.outOfSequence(
      request,
      last,
      ({ tag }) => this.#serverLevel === "broker" || !tag.isWanted,
      ({ tag }) => tag.bundled !== null,
    );
    for (const { tag } of whole) {
      tag.callers.resolve({
        topic: queue.topic,
        level: this.#serverLevel,
        offset: null,
      });
    }
    for (const batch of queue.stream) batch.tag.isNoted = false;
    this.#options.onAgain();
  }

  /** A part goes out again: what has no answer of the others comes back, too. */
  #awaitOthers(bundled: Bundled | null): void {
    if (bundled === null) return;
    for (const request of bundled.requests) {
      // What is noted waits for the broker, and that may take long.
      const other = this.#asked.get(request);
      if (other?.tag.isNoted === false) this.#awaited.add(request);
    }
    bundled.requests = NONE;
  }

  #countLost(queue: TopicQueue, last: number): void {
    const { accepted } = queue.stream;
    if (queue.replacements === this.#replacements) return;
    queue.replacements = this.#replacements;
    const { onLost } = this.#options;
    if (last < accepted) onLost(queue.topic, accepted - last);
  }

  #leaveWindow(batch: OutgoingBatch): void {
    if (!batch.tag.isNoted) this.#windowBytes -= batch.bytes.length;
  }
}

/** Some records were refused as too large, the others have the level that is told. */
function rejectPart(
  { firstSequence, tag }: OutgoingBatch,
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
