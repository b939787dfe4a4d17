/**
 * Batches on their way over the link, a stream's in order; where nobody knows how
 * far the broker has come with a stream, those of the producer's others wait.
 *
 * @module
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Base } from "../base.ts";
import type { OutboxAnswers } from "./answers.ts";
import { type OutboxLink, tooLargeError } from "./outbox_link.ts";
import type { Pace } from "./pace.ts";
import { cutRanges, itemOf, type TaggedBatch } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import type { Gate, Producer, Producers } from "./producers.ts";

/** Wait before what the broker could not store is sent again. */
const RETRY_MS = 1_000;

/** What sending stands on. */
export interface SendingContext {
  readonly clock: Clock;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  readonly link: OutboxLink;
  readonly pace: Pace;
  readonly producers: Producers;
  readonly answers: OutboxAnswers;
  /** A number for a request to the broker; it grows. */
  nextRequest(): number;
  /** A rest is over. */
  onRested(): void;
}

/** Sends what stands in the streams. */
export class OutboxSending {
  readonly #context: SendingContext;
  #retryTimer: Timer | null = null;

  constructor(context: SendingContext) {
    this.#context = context;
  }

  /** Whether nothing is sent for a while. */
  get isResting(): boolean {
    return this.#retryTimer !== null;
  }

  /** Sends what waits of a stream. */
  send(stream: PublishStream): void {
    if (!this.#context.link.isUp || this.isResting) return;
    const { sender, producer } = stream;
    while (sender.waiting > 0 && producer.gate === null) this.#sendOne(stream);
  }

  /** Sends a batch of each stream in turn; behind a gate the rest waits. */
  sendInOrder(producer: Producer, order: readonly PublishStream[]): void {
    for (const [index, next] of order.entries()) {
      this.#sendOne(next);
      const { gate } = producer as { gate: Gate | null };
      if (gate === null) continue;
      gate.order.length = 0;
      gate.order.push(...order.slice(index + 1));
      return;
    }
  }

  /** The broker has answered for the stream that the others wait for: they go on, in order. */
  openGate(stream: PublishStream): void {
    const { producer } = stream;
    const { gate } = producer;
    if (gate?.stream !== stream || this.isResting) return;
    producer.gate = null;
    // What has to be sent again goes first.
    const again = stream.sender.waiting -
      gate.order.filter((each) => each === stream).length;
    const order = [
      ...Array.from({ length: Math.max(0, again) }, () => stream),
      ...gate.order,
    ];
    this.sendInOrder(producer, order);
  }

  /** Rests, and then sends what waits of all streams. */
  retryLater(): void {
    const { clock, producers, onRested } = this.#context;
    this.#retryTimer ??= clock.setTimer(RETRY_MS, () => {
      this.#retryTimer = null;
      for (const { gate } of producers.all()) {
        if (gate !== null) this.openGate(gate.stream);
      }
      for (const stream of producers.streams()) this.send(stream);
      onRested();
    });
  }

  /** There is no link to send over. */
  cancelRetry(): void {
    this.#retryTimer?.cancel();
    this.#retryTimer = null;
  }

  #sendOne(stream: PublishStream): void {
    const { base, link, pace, nextRequest } = this.#context;
    const { sender, producer } = stream;
    const isUncertain = stream.isUncertain(base.brokerEpoch);
    const request = nextRequest();
    const batch = sender.next(request);
    if (batch === null) return;
    // The broker would refuse all of it, or end the connection, again and again.
    if (!link.isTaken(batch.bytes)) {
      return this.#sendParts(stream, request, batch);
    }
    if (isUncertain) {
      const order = Array.from({ length: sender.waiting }, () => stream);
      producer.gate = { stream, order };
    }
    pace.add(request, stream, batch.bytes.length, batch.tag.isStored);
    const { previous } = batch;
    link.send(stream, request, { ...itemOf(stream, batch), previous });
  }

  /** Without the records that are too large: those are refused, and no others. */
  #sendParts(
    stream: PublishStream,
    request: number,
    batch: TaggedBatch,
  ): void {
    const { link, answers } = this.#context;
    const { fitting, tooLarge } = link.cut(batch.bytes);
    const { tag } = batch;
    const onDisk = tag.stored.reduce((sum, [from, to]) => sum + to - from, 0);
    if (tag.isStored && onDisk < batch.count) {
      // All of it must be on the disk first.
      stream.sender.rewind();
      return this.retryLater();
    }
    if (fitting.length === 0) {
      return answers.refused(
        stream,
        request,
        tooLargeError(stream, batch.bytes),
      );
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
        answers.bury(stream, {
          ...batch,
          ...sequences,
          bytes: part.bytes,
          tag: { ...tag, waiters: [], stored },
        }, error);
      }
    }
    stream.replace(batch, fitting);
  }
}
