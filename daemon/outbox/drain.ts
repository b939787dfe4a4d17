/**
 * The drain: what lies in the outbox is put on its way again, in order, as much at a
 * time as its window takes.
 *
 * @module
 */

import { runsOf } from "../../protocol/bundle.ts";
import type { Base } from "../base.ts";
import { lostError } from "./losses.ts";
import type { OutboxItem } from "./item.ts";
import type { OutboxLink } from "./outbox_link.ts";
import type { OutboxLog, ReadItem } from "./outbox_log.ts";
import type { Pace } from "./pace.ts";
import { newTag } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import type { Producer, Producers } from "./producers.ts";

/** Bytes of the outbox that may be on their way to the broker at a time. */
export const DRAIN_WINDOW_BYTES = 4 * 1024 * 1024;

/** What a drain stands on. */
export interface DrainContext {
  readonly log: OutboxLog;
  readonly pace: Pace;
  readonly link: OutboxLink;
  readonly producers: Producers;
  /** Nothing is sent for a while. */
  isResting(): boolean;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  /** A batch waits behind what is on its way of its stream. */
  onQueued(stream: PublishStream): void;
  /** The parts of a bundle do, one of each stream. */
  onBundleQueued(producer: Producer, streams: readonly PublishStream[]): void;
  /** An item's own parts are damaged. */
  onDamaged(stream: PublishStream, count: number): void;
  /** The store could not be read. */
  onFailed(error: unknown): void;
}

/** Reads the outbox over and over, once for each link and after each rest. */
export class OutboxDrain {
  readonly #context: DrainContext;
  #next = 0;
  /** Rises with each beginning: what an older one reads is not gone on with. */
  #round = 0;
  /** What comes next of the outbox lies before what is on its way of this stream. */
  #behind: PublishStream | null = null;
  #running: Promise<void> | null = null;
  #isFailed = false;

  constructor(context: DrainContext) {
    this.#context = context;
  }

  /** All that lies in the outbox goes out, from the beginning. */
  restart(): void {
    this.#round++;
    this.#next = this.#context.log.begin;
    this.#behind = null;
  }

  /** Something may have come, or there may be room. */
  wake(): void {
    if (this.#running !== null || !this.#canRun()) return;
    this.#running = this.#run()
      .catch((error) => {
        this.#isFailed = true;
        this.#context.onFailed(error);
      })
      .finally(() => {
        this.#running = null;
        // Something may have come between the last look and here.
        this.wake();
      });
  }

  /** Waits for a read under way; the link is gone. */
  async close(): Promise<void> {
    await this.#running;
  }

  #canRun(): boolean {
    // Once it is answered the stream begins anew, wherever that is.
    if (this.#behind !== null && this.#behind.sender.size > 0) return false;
    const { link, pace, log, isResting } = this.#context;
    return link.isRead && !isResting() && !this.#isFailed &&
      pace.drainBytes + log.buryingBytes < DRAIN_WINDOW_BYTES &&
      this.#next < log.end;
  }

  async #run(): Promise<void> {
    const { link, log } = this.#context;
    while (this.#canRun()) {
      const round = this.#round;
      const isOver = () => round !== this.#round || !link.isUp;
      const next = await log.read(this.#next, (items) => {
        return !isOver() && this.#take(items);
      }, (item) => this.#damaged(item));
      if (!isOver()) this.#next = next;
    }
  }

  /** Whether all of it could be put behind what is on its way of its streams. */
  #take(items: readonly ReadItem[]): boolean {
    const streams = items.map(({ item }) => this.#streamOf(item));
    this.#behind =
      streams.find(({ sender }, i) =>
        sender.size > 0 && items[i].item.firstSequence < sender.nextSequence
      ) ?? null;
    if (this.#behind !== null) return false;
    for (const { base, item } of items) {
      this.#context.log.take(base, base + item.count);
    }
    if (this.#canBundle(streams, items)) this.#queueBundle(streams, items);
    else if (items.length === 1) this.#queue(streams[0], items[0]);
    else this.#queueRuns(streams, items);
    return true;
  }

  /** Where the broker is asked how far it has come, or takes less, it goes run by run. */
  #canBundle(
    streams: readonly PublishStream[],
    items: readonly ReadItem[],
  ): boolean {
    const { base, link } = this.#context;
    // A part that takes several items goes run by run, too.
    if (new Set(streams).size < items.length) return false;
    return items.length > 1 && streams[0].producer.gate === null &&
      !streams.some((stream, i) =>
        stream.isUncertain(base.brokerEpoch, items[i].item.previous)
      ) && link.takesBundle(streams, items.map(({ item }) => item));
  }

  #queueBundle(
    streams: readonly PublishStream[],
    items: readonly ReadItem[],
  ): void {
    // Below zero: apart from the numbers of those that come from apps.
    const bundle = -1 - items[0].base;
    for (const [i, { item, base, ranks }] of items.entries()) {
      const stored: [number, number] = [base, base + item.count];
      const more = { bundle, ranks: ranks!, stored };
      streams[i].queue(item, newTag(item, [], 0, more));
    }
    this.#context.onBundleQueued(streams[0].producer, streams);
  }

  #queueRuns(
    streams: readonly PublishStream[],
    items: readonly ReadItem[],
  ): void {
    const parts = items.map(({ item, ranks }) => ({
      bytes: item.batch,
      ranks: ranks!,
    }));
    for (const { part, index, count, bytes } of runsOf(parts)) {
      const { item, base } = items[part];
      const firstSequence = item.firstSequence + index;
      const previous = index === 0 ? item.previous : firstSequence - 1;
      this.#queue(streams[part], {
        item: { ...item, previous, firstSequence, count, batch: bytes },
        base: base + index,
        ranks: null,
      });
    }
  }

  #queue(stream: PublishStream, { item, base }: ReadItem): void {
    const stored: [number, number] = [base, base + item.count];
    stream.queue(item, newTag(item, [], 0, { stored }));
    this.#context.onQueued(stream);
  }

  /** A record's own parts are damaged: what else is known of it is told. */
  #damaged(item: OutboxItem): void {
    const stream = this.#streamOf(item);
    stream.leaveOutbox(item, lostError(item.count));
    this.#context.onDamaged(stream, item.count);
  }

  #streamOf({ producer, topic }: OutboxItem): PublishStream {
    const { producers } = this.#context;
    return producers.stream(producers.get(producer, ""), topic);
  }
}
