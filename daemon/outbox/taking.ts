/**
 * What apps publish, as it comes: what is known here is answered at once, and for
 * the rest it is decided which road it takes. Parts of a bundle take theirs together,
 * in `bundles.ts`.
 *
 * @module
 */

import { remainingMs, withRemaining } from "../../protocol/attributes.ts";
import { splitOffset } from "../../protocol/batch.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { LEVEL, type Publish } from "../../protocol/messages.ts";
import type { Commits } from "../commits.ts";
import type { Port } from "../port.ts";
import { DRAIN_WINDOW_BYTES } from "./drain.ts";
import type { OutboxItem } from "./item.ts";
import type { LoosePublishes } from "./loose_publishes.ts";
import type { OutboxLink } from "./outbox_link.ts";
import type { Pace } from "./pace.ts";
import type { Producer, Producers } from "./producers.ts";
import { type FreshPublish, newTag } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import { answer, type Waiter, waiterOf } from "./publish_waiter.ts";
import type { OutboxSending } from "./sending.ts";
import type { OutboxStoring } from "./storing.ts";

/** Repetitions of publishes to one topic that may wait for level `broker`. */
const WAITERS_MAX = 65_536;

/** What taking stands on. */
export interface TakingContext {
  readonly commits: Commits;
  readonly producers: Producers;
  readonly link: OutboxLink;
  readonly pace: Pace;
  readonly storing: OutboxStoring;
  readonly sending: OutboxSending;
  readonly loose: LoosePublishes;
}

/** Takes the publishes of apps. */
export class OutboxTaking {
  readonly #context: TakingContext;
  /** Counts the batches that came from apps. */
  #order = 0;

  constructor(context: TakingContext) {
    this.#context = context;
  }

  /**
   * Takes a PUBLISH of an app, already checked.
   *
   * @throws {MomError} `outbox_full`, `storage_full`.
   */
  publish(port: Port, producer: Producer, message: Publish): void {
    const fresh = this.fresh(port, producer, message);
    if (fresh === null) return;
    const { stream, item, waiter } = fresh;
    const { storing, sending, loose } = this.#context;
    if (this.#mustStore(producer, item)) {
      const isNew = storing.store(stream, item, waiter);
      if (!isNew) this.answerKnown(stream, waiter);
    } else if (item.firstSequence < stream.sender.nextSequence) {
      loose.send(stream, item, waiter);
    } else {
      stream.queue(item, newTag(item, [waiter], this.nextOrder()));
      sending.send(stream);
    }
  }

  /**
   * What of a publish is not known; `null`: nothing.
   *
   * @throws {MomError} `outbox_full`.
   */
  fresh(
    port: Port,
    producer: Producer,
    message: Publish,
  ): FreshPublish | null {
    this.#checkStreams(producer, message.topic);
    const stream = this.#context.producers.stream(producer, message.topic);
    const waiter = waiterOf(port, message);
    if (waiter.last <= stream.storedLast) {
      this.answerKnown(stream, waiter);
      return null;
    }
    const last = stream.returnedTo(message.previous);
    if (last !== null) {
      const details = new Map([["last", last]]);
      port.refuse(outOfSequenceError(message, last), waiter.request, details);
      return null;
    }
    const item = rest(stream, this.#itemOf(producer, message));
    if (stream.join(item.firstSequence, waiter)) return null;
    return { stream, item, waiter };
  }

  /** A sequence is kept for each, so there is a limit to them. */
  #checkStreams(producer: Producer, topic: string): void {
    if (producer.streams.has(topic)) return;
    const { size } = producer.streams;
    const { streamCount } = this.#context.producers;
    if (size < LIMITS.topicsPerProducer && streamCount < LIMITS.streams) return;
    throw new MomError(
      "outbox_full",
      `Cannot publish to another topic: this producer has published to ${size} of ${LIMITS.topicsPerProducer}, all of this machine to ${streamCount} of ${LIMITS.streams}`,
    );
  }

  #itemOf(producer: Producer, message: Publish): OutboxItem {
    const left = remainingMs(message.attributes);
    const { timeline } = this.#context.commits.store;
    return {
      producer: producer.id,
      topic: message.topic,
      previous: message.previous,
      firstSequence: message.firstSequence,
      count: message.count,
      attributes: withRemaining(message.attributes, null),
      deadlineMs: left === null ? null : timeline.nowMs() + left,
      batch: message.batch,
    };
  }

  /** The place of a batch among all that came from apps. */
  nextOrder(): number {
    return ++this.#order;
  }

  /** Whether the link is there, moves, and is not full of what the outbox has. */
  get isMoving(): boolean {
    const { link, pace } = this.#context;
    return link.isRead && !pace.isStalled &&
      pace.drainBytes <= 2 * DRAIN_WINDOW_BYTES;
  }

  /** Whether the fast road is closed; with a full disk a stalled link is better than none. */
  #mustStore(producer: Producer, { batch }: OutboxItem): boolean {
    const { link, storing } = this.#context;
    if (!link.isUp || producer.isInOutbox) return true;
    return !this.isMoving && storing.fits(batch.length);
  }

  /**
   * It was stored here before: the app has lost our answer.
   *
   * @throws {MomError} `outbox_full`.
   */
  answerKnown(stream: PublishStream, waiter: Waiter): void {
    const refusal = stream.refusals.of(waiter.first, waiter.last);
    if (refusal !== null && waiter.wantsBroker) {
      return stream.answer(waiter, LEVEL.broker, null);
    }
    if (refusal === null && waiter.last <= stream.drainedLast) {
      return answer(waiter, LEVEL.broker, null);
    }
    this.#context.commits.whenDone(() => stream.answerStored(waiter));
    if (!waiter.wantsBroker) return;
    if (stream.outboxWaiters.length >= WAITERS_MAX) {
      throw new MomError(
        "outbox_full",
        `Cannot wait for the broker: ${WAITERS_MAX} publishes to "${stream.topic}" do`,
      );
    }
    stream.outboxWaiters.push(waiter);
  }
}

/** What of an item is not in the outbox already. */
function rest(stream: PublishStream, item: OutboxItem): OutboxItem {
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

function outOfSequenceError(
  { topic, previous }: Publish,
  last: number,
): MomError {
  return new MomError(
    "out_of_sequence",
    `Cannot publish to "${topic}": the last sequence is ${last}, not ${previous}`,
  );
}
