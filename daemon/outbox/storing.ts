/**
 * The way to this machine's disk: what has no receipt of the broker is taken to the
 * outbox, in the order in which it came, if there is room.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LEVEL } from "../../protocol/messages.ts";
import type { Commits } from "../commits.ts";
import type { OutboxItem } from "./item.ts";
import type { OutboxLink } from "./outbox_link.ts";
import type { BundleItem } from "./publish_batch.ts";
import type { OutboxLog, StoreHandlers } from "./outbox_log.ts";
import type { Pace } from "./pace.ts";
import { itemOf, type TaggedBatch } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import { answer, type Waiter } from "./publish_waiter.ts";

/** What it stands on. */
export interface StoringContext {
  readonly commits: Commits;
  readonly outboxBytesMax: number;
  readonly log: OutboxLog;
  readonly pace: Pace;
  readonly link: OutboxLink;
  /** Something lies in the outbox that did not before. */
  onStored(): void;
}

/** A batch and whose it is. */
export type StreamBatch = [
  stream: PublishStream,
  batch: TaggedBatch,
];

/** Takes publishes to the outbox. */
export class OutboxStoring {
  readonly #context: StoringContext;

  constructor(context: StoringContext) {
    this.#context = context;
  }

  /** Whether there is room for so much, and for what must be stored before it. */
  fits(bytes: number): boolean {
    const { commits, outboxBytesMax, log, pace } = this.#context;
    return log.bytes + bytes <= outboxBytesMax &&
      commits.store.canAppend(bytes + pace.fastBytes);
  }

  /**
   * Stores an app's publish, and before it what its producer has on its way.
   *
   * @returns Whether it was new; else the broker had answered it.
   * @throws {MomError} `outbox_full`, `storage_full`.
   */
  store(stream: PublishStream, item: OutboxItem, waiter: Waiter): boolean {
    // A batch that has begun is finished: a refusal would cover what is stored.
    const hasBegun = item.firstSequence > waiter.first;
    if (!hasBegun) this.#checkSpace(item.batch.length);
    this.#shift(stream.producer.unstored);
    // Older than what was on its way.
    if (item.firstSequence <= stream.storedLast) return false;
    if (waiter.wantsBroker) stream.outboxWaiters.push(waiter);
    this.#context.log.store(stream, item, {
      onDisk: () => {
        answer(waiter, LEVEL.daemon, null);
        this.#context.onStored();
      },
    });
    return true;
  }

  /**
   * Stores the parts of a bundle of an app, as `store`.
   *
   * @returns Those that were not new.
   */
  storeBundle(parts: readonly BundleItem[]): BundleItem[] {
    const bytes = parts.reduce((sum, { item }) => sum + item.batch.length, 0);
    const [{ stream }] = parts;
    // As in `store`: what has begun is finished.
    const hasBegun = parts.some(({ item, waiter }) =>
      item.firstSequence > waiter.first
    );
    if (!hasBegun) this.#checkSpace(bytes);
    this.#shift(stream.producer.unstored);
    const fresh = parts.filter(({ stream, item }) =>
      item.firstSequence > stream.storedLast
    );
    for (const { stream, waiter } of fresh) {
      if (waiter.wantsBroker) stream.outboxWaiters.push(waiter);
    }
    if (fresh.length === 0) return [...parts];
    this.#context.log.storeBundle(
      stream.producer,
      fresh.map((part) => ({
        ...part,
        handlers: {
          onDisk: () => {
            answer(part.waiter, LEVEL.daemon, null);
            this.#context.onStored();
          },
        },
      })),
    );
    return parts.filter((part) => !fresh.includes(part));
  }

  /** Takes what some streams have in memory alone to the outbox, if there is room for all of it. */
  shiftIfRoom(streams: Iterable<PublishStream>): void {
    const kept = this.unstored(streams);
    if (kept.length === 0) return;
    const bytes = kept.reduce((sum, [, batch]) => sum + batch.bytes.length, 0);
    const { store } = this.#context.commits;
    if (store.canAppend(bytes)) this.#shift(kept.map(([stream]) => stream));
  }

  /** Without a link nothing that is stored is on its way: the next drain finds it. */
  letGo(streams: Iterable<PublishStream>): void {
    for (const stream of streams) {
      if (stream.unstored > 0) stream.sender.rewind();
      else if (stream.sender.size > 0) stream.detach();
    }
    this.#context.log.releaseAll();
  }

  /** The batches without an answer that do not go to the outbox, as they came. */
  unstored(streams: Iterable<PublishStream>): StreamBatch[] {
    const found: StreamBatch[] = [];
    for (const stream of new Set(streams)) {
      if (stream.unstored === 0) continue;
      for (const batch of stream.sender) {
        if (!batch.tag.isStored) found.push([stream, batch]);
      }
    }
    return found.sort(([, a], [, b]) => a.tag.order - b.tag.order);
  }

  #checkSpace(bytes: number): void {
    if (this.fits(bytes)) return;
    const { outboxBytesMax, log } = this.#context;
    if (log.bytes + bytes > outboxBytesMax) {
      throw new MomError(
        "outbox_full",
        `Cannot publish: the outbox holds ${log.bytes} of ${outboxBytesMax} bytes`,
      );
    }
    throw new MomError(
      "storage_full",
      "Cannot publish: the disk of this machine is full",
    );
  }

  /**
   * Takes everything unanswered of some streams to the outbox; it stays on its way.
   * In the order in which it was sent: a producer's messages keep their order over
   * its topics, too.
   */
  #shift(streams: Iterable<PublishStream>): void {
    const all = [...streams];
    const shifted = new Set<PublishStream>();
    const batches = this.unstored(all);
    for (let at = 0; at < batches.length;) {
      const together = bundleAt(batches, at);
      for (const [stream] of together) {
        shifted.add(stream);
        stream.unstored = 0;
      }
      this.#storeSent(together);
      at += together.length;
    }
    if (shifted.size > 0) this.#context.pace.stored(shifted);
    if (!this.#context.link.isUp) this.letGo(all);
  }

  /** Stores a batch, or the parts of a bundle. */
  #storeSent(batches: readonly StreamBatch[]): void {
    for (const [, { tag }] of batches) tag.isStored = true;
    if (batches.length === 1) {
      const [[stream, batch]] = batches;
      const item = itemOf(stream, batch);
      return this.#context.log.store(stream, item, this.#handlers(batches[0]));
    }
    const [[{ producer }]] = batches;
    this.#context.log.storeBundle(
      producer,
      batches.map((each) => {
        const [stream, batch] = each;
        const { ranks } = batch.tag;
        const handlers = this.#handlers(each);
        return { stream, item: itemOf(stream, batch), ranks: ranks!, handlers };
      }),
    );
  }

  #handlers([stream, { tag }]: StreamBatch): StoreHandlers {
    const { log, onStored } = this.#context;
    return {
      onPiece: (from, to) => {
        if (tag.isDone) return log.settle(from, to);
        if (tag.isDetached) return;
        tag.stored.push([from, to]);
        log.take(from, to);
      },
      onDisk: () => {
        for (const waiter of tag.waiters) {
          stream.answerStored(waiter);
        }
        tag.waiters = tag.waiters.filter((waiter) => waiter.wantsBroker);
        onStored();
      },
    };
  }
}

/** The batches from `at` on that belong together, in their order. */
function bundleAt(
  batches: readonly StreamBatch[],
  at: number,
): readonly StreamBatch[] {
  const { bundle } = batches[at][1].tag;
  let end = at + 1;
  while (bundle !== 0 && batches[end]?.[1].tag.bundle === bundle) end++;
  return batches.slice(at, end);
}
