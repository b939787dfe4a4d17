/**
 * The outbox on disk: one log of publishes that the broker has not confirmed, and
 * one of dead letters, which it refused for good after they had a receipt.
 *
 * @module
 */

import type { MomError } from "../../protocol/errors.ts";
import { OffsetSet } from "../../protocol/offset_set.ts";
import { Appender, cutPieces } from "../appender.ts";
import { bodyOf } from "../user/item_body.ts";
import type { Commits } from "../commits.ts";
import {
  decodeOutboxMeta,
  encodeDeadMeta,
  encodeOutboxMeta,
  type OutboxItem,
} from "./item.ts";
import { OutboxLanes } from "./lanes.ts";
import type { Producer } from "./producers.ts";
import type { PublishStream } from "./publish_stream.ts";

const READ_BYTES = 512 * 1024;

/** What becomes of an item that is stored. */
export interface StoreHandlers {
  /** A piece of it is in the open group, at these offsets of the log. */
  onPiece?(from: number, to: number): void;
  /** All of it is on disk. */
  onDisk(): void;
}

/** The outbox's logs. */
export class OutboxLog {
  #commits: Commits;
  #log: number;
  #lanes: OutboxLanes;
  #dead: Appender;
  /** What the broker has, or what is a dead letter. */
  #settled: OffsetSet;
  /** What stands in a sender. */
  #taken = new OffsetSet();
  #buryingBytes = 0;

  constructor(commits: Commits, log: number, deadLog: number) {
    this.#commits = commits;
    this.#log = log;
    this.#lanes = new OutboxLanes(commits, log);
    this.#dead = new Appender(commits, deadLog);
    this.#settled = new OffsetSet(commits.store.begin(log));
  }

  /** Records in it. */
  get messages(): number {
    const { store } = this.#commits;
    const begin = store.begin(this.#log);
    const end = store.end(this.#log);
    return end - begin - this.#settled.countIn(begin, end);
  }

  /** Bytes in it. */
  get bytes(): number {
    return this.#commits.store.bytes(this.#log);
  }

  /** Bytes on their way to the dead letters. */
  get buryingBytes(): number {
    return this.#buryingBytes;
  }

  /** The first offset that is not settled. */
  get begin(): number {
    return this.#settled.floor;
  }

  /** The offset behind the last that is on disk. */
  get end(): number {
    return this.#commits.store.committedEnd(this.#log);
  }

  /** Whether an item must still be sent, and is not on its way. */
  isOpen(base: number): boolean {
    return !this.#settled.has(base) && !this.#taken.has(base);
  }

  /** Visits everything that is on disk, without its records; `end` is the offset behind it. */
  async visit(
    onItem: (item: OutboxItem, end: number) => void,
    onDamaged: (from: number, to: number) => void,
  ): Promise<void> {
    const { store } = this.#commits;
    for (let next = this.begin; next < this.end;) {
      const results = await this.#read(next);
      if (results.length === 0) return;
      for (const result of results) {
        next = result.base + result.count;
        if ("damaged" in result) {
          onDamaged(result.base, next);
          continue;
        }
        onItem(decodeOutboxMeta(result, result.body, store.timeline), next);
      }
    }
  }

  /**
   * Reads on from an offset; what is damaged is given up.
   *
   * @param onItem Called for each item that is open; `false` stops.
   * @param onDamaged Called for what can't be sent; with what is known of it.
   * @returns Where to read on.
   */
  async read(
    next: number,
    onItem: (item: OutboxItem, base: number) => boolean,
    onDamaged: (item: OutboxItem) => void,
  ): Promise<number> {
    const { end } = this;
    const { store } = this.#commits;
    const results = await this.#read(next);
    for (const result of results) {
      const { base, count } = result;
      if ("damaged" in result) this.settle(base, base + count);
      else if (this.isOpen(base)) {
        const body = await bodyOf(store, result);
        const item = decodeOutboxMeta(
          result,
          body ?? result.body,
          store.timeline,
        );
        if (body === null) {
          onDamaged(item);
          this.settle(base, base + count);
        } else if (!onItem(item, base)) return next;
      }
      next = base + count;
    }
    // What was trimmed meanwhile needs no reading.
    return results.length === 0 ? Math.max(next, end) : next;
  }

  #read(next: number) {
    const wants = [{ log: this.#log, next }];
    return this.#commits.store.readInOrder(wants, READ_BYTES);
  }

  /** Resolves when more of a producer may come; `null` when it may at once. */
  room(producer: Producer): Promise<void> | null {
    return this.#lanes.room(producer);
  }

  /** Stores an item of a stream behind all others of its producer. */
  store(
    stream: PublishStream,
    item: OutboxItem,
    handlers: StoreHandlers,
  ): void {
    stream.countStored(item.count);
    for (const { bytes, count, index } of cutPieces(item.batch)) {
      const firstSequence = item.firstSequence + index;
      const previous = index === 0 ? item.previous : firstSequence - 1;
      const last = firstSequence + count - 1;
      const part = { ...item, previous, firstSequence, count, batch: bytes };
      const isLast = index + count === item.count;
      this.#lanes.append(stream.producer, {
        count,
        body: bytes,
        meta: () => encodeOutboxMeta(part, this.#commits.store.timeline),
        done: (base) => {
          stream.storedLast = Math.max(stream.storedLast, last);
          stream.producer.outboxEnd = base + count;
          this.#commits.changed(stream);
          handlers.onPiece?.(base, base + count);
          if (isLast) this.#commits.whenDone(() => handlers.onDisk());
        },
      });
    }
  }

  /** Puts an item among the dead letters; `onStored` changes what goes with it. */
  bury(item: OutboxItem, error: MomError, onStored: () => void): void {
    for (const { bytes, count, index } of cutPieces(item.batch)) {
      const isLast = index + count === item.count;
      this.#buryingBytes += bytes.length;
      this.#dead.append({
        count,
        body: bytes,
        meta: () => encodeDeadMeta(item, error, this.#commits.store.timeline),
        done: () => {
          this.#buryingBytes -= bytes.length;
          if (isLast) onStored();
        },
      });
    }
  }

  /** Offsets stand in a sender now. */
  take(from: number, to: number): void {
    this.#taken.add(from, to);
  }

  /** No sender has anything any more. */
  releaseAll(): void {
    this.#taken = new OffsetSet();
  }

  /** Offsets need not be sent any more. */
  settle(from: number, to: number): void {
    this.#taken.remove(from, to);
    const before = this.#settled.floor;
    this.#settled.add(from, to);
    const { floor } = this.#settled;
    if (floor > before) this.#commits.trim(this.#log, floor);
  }

  /** Waits for writes under way; nothing new begins. */
  async close(): Promise<void> {
    await this.#lanes.close();
    await this.#dead.end();
  }
}
