/**
 * What this daemon knows of one (producer, topic): which of its batches are on
 * their way to the broker, who waits for them, and whether it lies in the
 * outbox.
 *
 * @module
 */

import type { Store } from "../storage/store.ts";
import type { Port } from "./app_binding.ts";
import type { Saveable } from "./ledger.ts";
import { ProducerStream } from "./stream.ts";
import { decodeEntry, encodeEntry, TABLE } from "./tables.ts";

/** An app's PUBLISH that has no final answer. */
export interface Waiter {
  readonly port: Port;
  readonly request: number;
  /** First and last sequence that the request is about. */
  readonly first: number;
  readonly last: number;
  readonly wantsBroker: boolean;
}

/** What goes with a batch on its way to the broker. */
export interface BatchTag {
  waiters: Waiter[];
  /** What its app said of `previous`. */
  readonly previous: number;
  /** Wall time at which it expires, or `null`. */
  readonly deadlineMs: number | null;
  /** Whether it goes, or has gone, to the outbox. */
  isStored: boolean;
  /** Where its pieces lie in the outbox's log. */
  stored: [from: number, to: number][];
  /** Whether it has left its sender with the link: the next drain finds it. */
  isDetached: boolean;
  /** Whether the broker has it, or refused it for good. */
  isDone: boolean;
}

/** One app's handle as a producer. */
export class Producer {
  readonly id: Uint8Array;
  /** `name`, without the machine. */
  readonly user: string;
  readonly streams = new Map<string, PublishStream>();
  /** Generation of the link over which it was introduced last. */
  introduced = 0;
  /** Its handle is gone for good. */
  isEnded = false;

  constructor(id: Uint8Array, user: string) {
    this.id = id;
    this.user = user;
  }
}

type StreamEntry = [
  producer: Uint8Array,
  topic: string,
  storedLast: number,
  user: string,
];

/** One (producer, topic). */
export class PublishStream implements Saveable {
  readonly key: number;
  readonly producer: Producer;
  readonly topic: string;
  /** Last sequence that was committed to the outbox; kept after draining. */
  storedLast = 0;
  /** Last sequence of the outbox that the broker has, or refused for good. */
  drainedLast = 0;
  /** Records in the outbox. */
  outboxCount = 0;
  /** Batches in the sender that do not go to the outbox, so far. */
  unstored = 0;
  /** Waiting for level `broker` of what lies in the outbox, in order. */
  outboxWaiters: Waiter[] = [];
  sender = new ProducerStream<BatchTag>();
  isEnded = false;
  #isStored = false;

  constructor(key: number, producer: Producer, topic: string) {
    this.key = key;
    this.producer = producer;
    this.topic = topic;
  }

  /** A stream as it was stored; `producerOf` finds or makes its producer. */
  static load(
    key: number,
    bytes: Uint8Array,
    producerOf: (id: Uint8Array, user: string) => Producer,
  ): PublishStream {
    const [id, topic, last, user] = decodeEntry<StreamEntry>(bytes);
    const stream = new PublishStream(key, producerOf(id.slice(), user), topic);
    stream.storedLast = last;
    stream.drainedLast = last;
    stream.#isStored = true;
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
      ];
      store.put(TABLE.streams, this.key, encodeEntry(entry));
    } else if (this.#isStored) store.delete(TABLE.streams, this.key);
  }

  /** Whether what comes now must queue behind what lies in the outbox. */
  get isInOutbox(): boolean {
    return this.outboxCount > 0;
  }

  /** Whether nothing of it is anywhere. */
  get isIdle(): boolean {
    return this.outboxCount === 0 && this.sender.size === 0;
  }

  /** Batches go out again; the first follows `previous`. */
  resetSender(previous: number): void {
    this.sender = new ProducerStream<BatchTag>(previous);
  }
}
