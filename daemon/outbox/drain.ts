/**
 * The drain: what lies in the outbox is put on its way again, in order, as much at a
 * time as its window takes.
 *
 * @module
 */

import { lostError } from "./losses.ts";
import type { OutboxItem } from "./item.ts";
import type { OutboxLink } from "./outbox_link.ts";
import type { OutboxLog } from "./outbox_log.ts";
import type { Pace } from "./pace.ts";
import { newTag } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import type { Producers } from "./producers.ts";

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
  /** A batch waits behind what is on its way of its stream. */
  onQueued(stream: PublishStream): void;
  /** An item's own parts are damaged. */
  onDamaged(stream: PublishStream, count: number): void;
  /** The store could not be read. */
  onFailed(error: unknown): void;
}

/** Reads the outbox over and over, once for each link. */
export class OutboxDrain {
  readonly #context: DrainContext;
  #next = 0;
  /** What comes next of the outbox lies before what is on its way of this stream. */
  #behind: PublishStream | null = null;
  #running: Promise<void> | null = null;
  #isFailed = false;

  constructor(context: DrainContext) {
    this.#context = context;
  }

  /** There is a new link: all that lies in the outbox goes over it. */
  restart(): void {
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
      const { generation } = link;
      const isOver = () => generation !== link.generation || !link.isUp;
      const next = await log.read(this.#next, (item, base) => {
        return !isOver() && this.#take(item, base);
      }, (item) => this.#damaged(item));
      if (!isOver()) this.#next = next;
    }
  }

  /** Whether it could be put behind what is on its way of its stream. */
  #take(item: OutboxItem, base: number): boolean {
    const stream = this.#streamOf(item);
    const { sender } = stream;
    const isLater = item.firstSequence >= sender.nextSequence;
    this.#behind = sender.size > 0 && !isLater ? stream : null;
    if (this.#behind !== null) return false;
    const end = base + item.count;
    this.#context.log.take(base, end);
    stream.queue(item, newTag(item, [], 0, [base, end]));
    this.#context.onQueued(stream);
    return true;
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
