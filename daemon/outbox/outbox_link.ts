/**
 * The link as the outbox sees it: whether it is there and read, what fits a frame of
 * it, and how a batch and the end of a producer are told over it.
 *
 * @module
 */

import { type Attributes, withRemaining } from "../../protocol/attributes.ts";
import { bundlePartBytes, joined, orderOf } from "../../protocol/bundle.ts";
import { MomError } from "../../protocol/errors.ts";
import { FEATURE } from "../../protocol/features.ts";
import { frameBytesMax, LIMITS } from "../../protocol/limits.ts";
import { LEVEL } from "../../protocol/messages.ts";
import { cutFitting, findTooLarge } from "../../protocol/publish_check.ts";
import type { Port } from "../port.ts";
import type { OutboxItem } from "./item.ts";
import type { TaggedBatch } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import type { Producer } from "./producers.ts";

/** What a PUBLISH has beside its batch, at most: topic, numbers, attributes. */
const HEAD_BYTES_MAX = 8 * 1024;

/** The way to the broker, or none. */
export class OutboxLink {
  readonly #nowMs: () => number;
  #port: Port | null = null;
  /** What fits a frame of the broker, which may take less than this daemon. */
  #batchBytesMax = Infinity;
  #messageBytesMax = Infinity;
  /** Rises with each link: each hears of the producers anew. */
  #generation = 0;

  /** @param nowMs Steady time, as deadlines are told in it. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether there is one. */
  get isUp(): boolean {
    return this.#port !== null;
  }

  /** Whether the broker takes what it is sent: answers alone do not say so. */
  get isRead(): boolean {
    return this.#port !== null &&
      this.#port.bufferedBytes <= LIMITS.unreadBytes;
  }

  /** There is a new one. */
  up(port: Port, maxMessageBytes: number): void {
    this.#port = port;
    this.#batchBytesMax = frameBytesMax(maxMessageBytes) - HEAD_BYTES_MAX;
    this.#messageBytesMax = maxMessageBytes;
    this.#generation++;
  }

  /** It is gone. */
  down(): void {
    this.#port = null;
  }

  /** Whether the broker takes such a batch, which it may not though this daemon did. */
  isTaken(batch: Uint8Array): boolean {
    return batch.length <= this.#batchBytesMax &&
      findTooLarge(batch, this.#messageBytesMax) === null;
  }

  /** What of a batch the broker takes, and what it does not. */
  cut(batch: Uint8Array): ReturnType<typeof cutFitting> {
    return cutFitting(batch, {
      batchBytes: this.#batchBytesMax,
      messageBytes: this.#messageBytesMax,
    });
  }

  /** Whether the broker takes bundles at all. */
  get takesBundles(): boolean {
    return this.#port?.features.has(FEATURE.bundles) === true;
  }

  /** Whether the broker takes batches of several topics as one message. */
  takesBundle(
    streams: readonly PublishStream[],
    parts: readonly { readonly batch: Uint8Array; readonly count: number }[],
  ): boolean {
    if (!this.takesBundles) return false;
    let bytes = 0;
    for (const [i, { topic }] of streams.entries()) {
      const { batch, count } = parts[i];
      bytes += batch.length + count + bundlePartBytes(topic);
    }
    return bytes <= this.#batchBytesMax &&
      parts.every(({ batch }) => this.isTaken(batch));
  }

  /** Sends an item; its producer is introduced first. */
  send(stream: PublishStream, request: number, item: OutboxItem): void {
    const { producer } = stream;
    const { topic, firstSequence, count, previous, batch } = item;
    this.#introduce(producer);
    this.#port!.send({
      type: "PUBLISH",
      request,
      topic,
      producer: producer.id,
      previous,
      firstSequence,
      count,
      attributes: this.#attributesOf(item, item.deadlineMs),
      batch,
      wanted: undefined,
    });
  }

  /** Sends parts of a bundle: at least two, whose requests their senders know. */
  sendBundle(
    producer: Producer,
    streams: readonly PublishStream[],
    batches: readonly TaggedBatch[],
  ): void {
    const [first] = batches;
    this.#introduce(producer);
    this.#port!.send({
      type: "BUNDLE",
      producer: producer.id,
      attributes: this.#attributesOf(first, first.tag.deadlineMs),
      wanted: LEVEL.broker,
      topics: streams.map(({ topic }) => topic),
      parts: batches.flatMap((each) => [
        each.request!,
        each.previous,
        each.firstSequence,
        each.count,
        each.bytes.length,
      ]),
      order: orderOf(batches.map(({ tag }) => tag.ranks!)),
      batch: joined(batches.map(({ bytes }) => bytes)),
    });
  }

  #introduce(producer: Producer): void {
    if (producer.introduced === this.#generation) return;
    producer.introduced = this.#generation;
    const { id, user } = producer;
    this.#port!.send({ type: "INTRODUCE", producer: id, user });
  }

  #attributesOf(
    { attributes }: { readonly attributes: Attributes },
    deadlineMs: number | null,
  ): Attributes {
    return deadlineMs === null
      ? attributes
      : withRemaining(attributes, deadlineMs - this.#nowMs());
  }

  /** Nothing more of a producer will come. */
  sendEnded(request: number, { id: producer }: Producer): void {
    this.#port?.send({ type: "ENDED", request, producer });
  }
}

/** The broker takes less than this daemon. */
export function tooLargeError(
  { topic }: PublishStream,
  batch: Uint8Array,
): MomError {
  return new MomError(
    "message_too_large",
    `Cannot publish to "${topic}": ${batch.length} bytes are more than the broker takes`,
  );
}
