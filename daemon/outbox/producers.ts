/**
 * The producers behind this daemon: its apps' handles, each with a stream for
 * every topic that it publishes to.
 *
 * @module
 */

import { PublishStream } from "./publish_stream.ts";

/**
 * In another epoch of the broker's store nobody knows how far it has come with a
 * stream. Until the first answer tells, the batches of all the producer's streams
 * wait, so that what has to be sent again is not overtaken.
 */
export interface Gate {
  /** Whose first batch is on its way. */
  readonly stream: PublishStream;
  /** The stream of each batch that waits, in the order of sending. */
  readonly order: PublishStream[];
  /** Other streams that were refused meanwhile: they are sent again before the rest. */
  readonly again: Set<PublishStream>;
}

/** One app's handle as a producer. */
export class Producer {
  readonly id: Uint8Array;
  /** `name`, without the machine. */
  readonly user: string;
  readonly streams: Map<string, PublishStream> = new Map();
  /** Those that have something on their way that is not in the outbox: mostly few. */
  readonly unstored: Set<PublishStream> = new Set();
  /** Generation of the link over which it was introduced last. */
  introduced = 0;
  /** Its handle is gone for good. */
  isEnded = false;
  /** Its bytes on the fast road: without a receipt, and on no disk of this machine. */
  fastBytes = 0;
  /** Its records in the outbox, of all topics. */
  outboxCount = 0;
  /** The offset behind its last record in the outbox's log; 0: it has none there. */
  outboxEnd = 0;
  /** What waits until the broker has answered for one stream; `null`: nothing. */
  gate: Gate | null = null;

  constructor(id: Uint8Array, user: string) {
    this.id = id;
    this.user = user;
  }

  /** Whether what comes now must queue behind what lies in the outbox. */
  get isInOutbox(): boolean {
    return this.outboxCount > 0;
  }

  /** Whether nothing of it is anywhere. */
  get isIdle(): boolean {
    for (const stream of this.streams.values()) {
      if (!stream.isIdle) return false;
    }
    return true;
  }
}

/** All of them. */
export class Producers {
  readonly #byId = new Map<string, Producer>();
  #nextKey = 1;

  /** How many streams all of them have together. */
  streamCount = 0;

  /** Takes the streams that were stored. */
  load(entries: Map<number, Uint8Array>): void {
    for (const [key, bytes] of entries) {
      const stream = PublishStream.load(
        key,
        bytes,
        (id, user) => this.get(id, user),
      );
      stream.producer.streams.set(stream.topic, stream);
      this.streamCount++;
      this.#nextKey = Math.max(this.#nextKey, key + 1);
    }
  }

  /** The producer with an id; a new one if need be. */
  get(id: Uint8Array, user: string): Producer {
    const key = id.toHex();
    let producer = this.#byId.get(key);
    if (producer === undefined) {
      this.#byId.set(key, producer = new Producer(id.slice(), user));
    }
    return producer;
  }

  /** The producer with an id. */
  find(id: Uint8Array): Producer | undefined {
    return this.#byId.get(id.toHex());
  }

  /** The stream of a producer for a topic; a new one if need be. */
  stream(producer: Producer, topic: string): PublishStream {
    let stream = producer.streams.get(topic);
    if (stream === undefined) {
      stream = new PublishStream(this.#nextKey++, producer, topic);
      producer.streams.set(topic, stream);
      this.streamCount++;
    }
    return stream;
  }

  /** Every producer; one may be removed meanwhile. */
  all(): Iterable<Producer> {
    return this.#byId.values();
  }

  /** Every stream of every producer. */
  *streams(): Iterable<PublishStream> {
    for (const producer of this.#byId.values()) {
      yield* producer.streams.values();
    }
  }

  /** Every stream that has something on its way that is not in the outbox. */
  *unstored(): Iterable<PublishStream> {
    for (const producer of this.#byId.values()) yield* producer.unstored;
  }

  /** Forgets a producer. */
  remove(producer: Producer): void {
    if (this.#byId.delete(producer.id.toHex())) {
      this.streamCount -= producer.streams.size;
    }
  }
}
