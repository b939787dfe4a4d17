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
import type { Gate, Producer } from "./producers.ts";

/** Wait before what the broker could not store is sent again. */
const RETRY_MS = 1_000;

/** What sending stands on. */
export interface SendingContext {
  readonly clock: Clock;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  readonly link: OutboxLink;
  readonly pace: Pace;
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
    for (let index = 0; index < order.length;) {
      const together = this.#bundleAt(order, index);
      if (together.length > 1) this.#sendBundle(producer, together);
      else this.#sendOne(order[index]);
      index += together.length;
      const { gate } = producer as { gate: Gate | null };
      if (gate === null) continue;
      gate.order.length = 0;
      gate.order.push(...order.slice(index));
      return;
    }
  }

  /** Sends batches that came as a bundle, unless something else goes first. */
  sendBundle(producer: Producer, streams: readonly PublishStream[]): void {
    if (!this.#context.link.isUp || this.isResting) return;
    if (producer.gate === null) this.sendInOrder(producer, streams);
  }

  /**
   * The streams whose next batches go with that of the one at `index`, which is the
   * first. A bundle has one batch of a stream: where a stream comes again it is that
   * of another bundle.
   */
  #bundleAt(
    order: readonly PublishStream[],
    index: number,
  ): readonly PublishStream[] {
    const bundle = order[index].sender.peek()?.tag.bundle ?? 0;
    if (bundle === 0) return [order[index]];
    const streams: PublishStream[] = [];
    const parts: { batch: Uint8Array; count: number }[] = [];
    for (let at = index; at < order.length; at++) {
      const stream = order[at];
      const next = stream.sender.peek();
      if (next?.tag.bundle !== bundle || streams.includes(stream)) break;
      streams.push(stream);
      parts.push({ batch: next.bytes, count: next.count });
    }
    const { base, link } = this.#context;
    // How far the broker has come with one of them is asked with that one alone.
    const isPlain = link.takesBundle(streams, parts) &&
      !streams.some((stream) => stream.isUncertain(base.brokerEpoch));
    return isPlain ? streams : [order[index]];
  }

  #sendBundle(producer: Producer, streams: readonly PublishStream[]): void {
    const { link, pace, nextRequest } = this.#context;
    const batches = streams.map((stream) => {
      const request = nextRequest();
      const batch = stream.sender.next(request)!;
      pace.add(request, stream, batch.bytes.length, batch.tag.isStored);
      return batch;
    });
    link.sendBundle(producer, streams, batches);
  }

  /** The broker has answered for the stream that the others wait for: they go on, in order. */
  openGate(stream: PublishStream): void {
    const { producer } = stream;
    const { gate } = producer;
    if (gate === null || this.isResting) return;
    if (gate.stream !== stream) {
      if (stream.sender.waiting > 0) gate.again.add(stream);
      return;
    }
    producer.gate = null;
    // What has to be sent again goes first.
    const again = [stream, ...gate.again]
      .flatMap((each) => repetitionsOf(each, gate.order));
    this.sendInOrder(producer, [...again, ...gate.order]);
  }

  /** Rests; whatever waits goes out again after it. */
  retryLater(): void {
    const { clock, onRested } = this.#context;
    this.#retryTimer ??= clock.setTimer(RETRY_MS, () => {
      this.#retryTimer = null;
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
      producer.gate = { stream, order, again: new Set() };
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

/** The stream, once for each of its batches that wait and are not in the order. */
function repetitionsOf(
  stream: PublishStream,
  order: readonly PublishStream[],
): PublishStream[] {
  const { waiting } = stream.sender;
  if (waiting === 0) return [];
  const known = order.filter((each) => each === stream).length;
  return Array.from({ length: Math.max(0, waiting - known) }, () => stream);
}
