/**
 * The link as the outbox sees it: whether it is there and read, what fits a frame of
 * it, and how a batch and the end of a producer are told over it.
 *
 * @module
 */

import { withRemaining } from "../../protocol/attributes.ts";
import { MomError } from "../../protocol/errors.ts";
import { frameBytesMax, LIMITS } from "../../protocol/limits.ts";
import { cutFitting, findTooLarge } from "../../protocol/publish_check.ts";
import type { Port } from "../port.ts";
import type { OutboxItem } from "./item.ts";
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
  /** Rises with each link; what an older one began is not gone on with. */
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

  /** Rises with each link, and with the end of the last. */
  get generation(): number {
    return this.#generation;
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

  /** It is gone, and no other will come. */
  close(): void {
    this.#port = null;
    this.#generation++;
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

  /** Sends an item; its producer is introduced first. */
  send(stream: PublishStream, request: number, item: OutboxItem): void {
    const port = this.#port!;
    const { id: producer, user } = stream.producer;
    if (stream.producer.introduced !== this.#generation) {
      stream.producer.introduced = this.#generation;
      port.send({ type: "INTRODUCE", producer, user });
    }
    const { topic, firstSequence, count, previous, deadlineMs, batch } = item;
    const attributes = deadlineMs === null ? item.attributes : withRemaining(
      item.attributes,
      deadlineMs - this.#nowMs(),
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
