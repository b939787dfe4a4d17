/**
 * The outbox on disk: one log of publishes that the broker has not confirmed, and
 * one of dead letters, which it refused for good after they had a receipt.
 *
 * @module
 */

import type { MomError } from "../../protocol/errors.ts";
import { splitOffset } from "../../protocol/batch.ts";
import { cutPart, type Ranks } from "../../protocol/bundle.ts";
import { type OffsetRange, OffsetSet } from "../../protocol/offset_set.ts";
import {
  bundleEnd,
  splitPlace,
  tornFrom,
  withPlace,
} from "../../storage/bundle_place.ts";
import type { ReadResult } from "../../storage/store.ts";
import {
  Appender,
  cutPieces,
  type Piece,
  PIECE_BYTES_MAX,
} from "../appender.ts";
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

/** What a part of a bundle may have on disk, with the places of its records. */
const BUNDLED_BYTES_MAX = PIECE_BYTES_MAX - 1024;

/** An item that is read. */
export interface ReadItem {
  readonly item: OutboxItem;
  /** Its first offset in the log. */
  readonly base: number;
  /** The places of its records in the bundle that it came with. */
  readonly ranks: Ranks | null;
}

/** A part of a bundle that is stored. */
export interface StoredPart {
  readonly stream: PublishStream;
  readonly item: OutboxItem;
  readonly ranks: Ranks;
  readonly handlers: StoreHandlers;
}

/** What becomes of an item that is stored. */
export interface StoreHandlers {
  /** A piece of it is in the open group, at these offsets of the log. */
  onPiece?(from: number, to: number): void;
  /** All of it is on disk. */
  onDisk?(): void;
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
  /** Counts the bundles. */
  #bundles = 0;

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

  /** What of an item must still be sent, and is not on its way: parts of it may be. */
  #open(base: number, end: number): OffsetRange[] {
    return this.#settled.missing(base, end)
      .flatMap(([from, to]) => this.#taken.missing(from, to));
  }

  /** Visits everything on disk that is still to be sent; `end` is the offset behind its item. */
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
        const { base, body } = result;
        const { meta } = splitPlace(result.meta);
        const item = decodeOutboxMeta(
          { ...result, meta },
          body,
          store.timeline,
        );
        // What the broker has of it counts no more.
        for (const [from, to] of this.#open(base, next)) {
          onItem(sliceItem({ item, base, ranks: null }, from, to).item, next);
        }
      }
    }
  }

  /**
   * Reads on from an offset; what is damaged is given up.
   *
   * @param onItems Called for each item that is open, or those of a bundle; `false`
   *   stops.
   * @param onDamaged Called for what can't be sent; with what is known of it.
   * @returns Where to read on.
   */
  async read(
    next: number,
    onItems: (items: readonly ReadItem[]) => boolean,
    onDamaged: (item: OutboxItem) => void,
  ): Promise<number> {
    const { end } = this;
    const results = await this.#read(next);
    // A bundle is smaller than a read: what is torn at its end begins the next one.
    const whole = tornFrom(results);
    for (let at = 0; at < whole;) {
      const items: ReadItem[] = [];
      const behind = bundleEnd(results, at);
      for (; at < behind; at++) {
        items.push(...await this.#itemsOf(results[at], onDamaged));
      }
      if (items.length > 0 && !onItems(items)) return next;
      const last = results[at - 1];
      next = last.base + last.count;
    }
    // What was trimmed meanwhile needs no reading.
    return results.length === 0 ? Math.max(next, end) : next;
  }

  /** What was read, as far as it is still to be sent and can be. */
  async #itemsOf(
    result: ReadResult,
    onDamaged: (item: OutboxItem) => void,
  ): Promise<ReadItem[]> {
    const { base, count } = result;
    const { store } = this.#commits;
    if ("damaged" in result) {
      this.settle(base, base + count);
      return [];
    }
    const open = this.#open(base, base + count);
    if (open.length === 0) return [];
    const body = await bodyOf(store, result);
    const { place, meta } = splitPlace(result.meta);
    const item = decodeOutboxMeta(
      { ...result, meta },
      body ?? result.body,
      store.timeline,
    );
    if (body === null) {
      onDamaged(item);
      this.settle(base, base + count);
      return [];
    }
    const ranks = place?.ranks ?? null;
    return open.map(([from, to]) => sliceItem({ item, base, ranks }, from, to));
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
      const part = partOf(item, index, count, bytes);
      const isLast = index + count === item.count;
      const piece = this.#pieceOf(
        stream,
        part,
        isLast ? handlers : {
          onPiece: handlers.onPiece,
        },
      );
      this.#lanes.append(stream.producer, piece);
    }
  }

  /**
   * The same for parts of a bundle, in one commit: their records take turns, and are
   * sent as they came.
   */
  storeBundle(producer: Producer, parts: readonly StoredPart[]): void {
    const places = parts.flatMap(({ stream, item, ranks, handlers }) => {
      stream.countStored(item.count);
      return cutPart(item.batch, ranks, BUNDLED_BYTES_MAX)
        .map(({ index, count, bytes, ranks }) => {
          const part = partOf(item, index, count, bytes);
          const isLast = index + count === item.count;
          const told = isLast ? handlers : { onPiece: handlers.onPiece };
          return { ranks, piece: this.#pieceOf(stream, part, told) };
        });
    });
    const bundle = ++this.#bundles;
    const pieces = places.map(({ ranks, piece }, i) => {
      const place = { bundle, left: places.length - 1 - i, ranks };
      return { ...piece, meta: () => withPlace(piece.meta(), place) };
    });
    this.#lanes.appendTogether(producer, pieces);
  }

  #pieceOf(
    stream: PublishStream,
    part: OutboxItem,
    { onPiece, onDisk }: StoreHandlers,
  ): Piece {
    const { count } = part;
    return {
      count,
      body: part.batch,
      meta: () => encodeOutboxMeta(part, this.#commits.store.timeline),
      done: (base) => {
        const last = part.firstSequence + count - 1;
        stream.storedLast = Math.max(stream.storedLast, last);
        stream.producer.outboxEnd = base + count;
        this.#commits.changed(stream);
        onPiece?.(base, base + count);
        if (onDisk !== undefined) this.#commits.whenDone(onDisk);
      },
    };
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

function partOf(
  item: OutboxItem,
  index: number,
  count: number,
  batch: Uint8Array,
): OutboxItem {
  const firstSequence = item.firstSequence + index;
  const previous = index === 0 ? item.previous : firstSequence - 1;
  return { ...item, previous, firstSequence, count, batch };
}

/** The records of an item at the offsets `from` up to `to`. */
function sliceItem(whole: ReadItem, from: number, to: number): ReadItem {
  const { item, base, ranks } = whole;
  if (from === base && to === base + item.count) return whole;
  const index = from - base;
  const start = splitOffset(item.batch, index);
  const rest = item.batch.subarray(start);
  const batch = rest.subarray(0, splitOffset(rest, to - from));
  return {
    item: partOf(item, index, to - from, batch),
    base: from,
    ranks: ranks?.subarray(index, index + to - from) ?? null,
  };
}
