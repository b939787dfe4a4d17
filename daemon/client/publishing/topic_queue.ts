/**
 * What a handle publishes to one topic: the batch that records are still laid
 * into, and behind the last one sent those that wait. Records that cannot travel
 * together (another expiry, another level) begin a new batch. No I/O.
 *
 * @module
 */

import { RecordBuffer } from "../../../protocol/record.ts";
import { type PendingBatch, ProducerStream } from "../../stream.ts";
import { areSame } from "./publish_terms.ts";
import { type Callers, SingleCallers } from "./receipts.ts";
import type { Bundled, Gathering } from "./gathering.ts";
import type { SendLine } from "./send_line.ts";

/** What all records of a batch have in common. */
export interface BatchTerms {
  /** Whether the receipt waits for the broker. */
  readonly isWanted: boolean;
  /** Milliseconds after which the messages expire; 0: never. */
  readonly expiresMs: number;
  /** The only epoch of the broker's store that they are for; 0: any. */
  readonly epoch: number;
}

/** What is kept with a batch until its answer. */
export interface Outgoing extends BatchTerms {
  readonly queue: TopicQueue;
  /** Its place among all batches of the handle. */
  readonly order: number;
  readonly callers: Callers;
  /** When it was begun, on the monotonic clock. */
  readonly beganMs: number;
  /** What it goes out with; `null` while it is open, and if that is nothing. */
  bundled: Bundled | null;
  /** Whether its callers have heard that the wait is over. */
  isGivenUp: boolean;
  /** Whether the daemon has it and the broker's answer is waited for. */
  isNoted: boolean;
}

/** A batch on its way. */
export type OutgoingBatch = PendingBatch<Outgoing>;

interface OpenBatch {
  readonly records: RecordBuffer;
  readonly callers: SingleCallers;
  readonly tag: Outgoing;
  /** What it belongs to, and its number there. */
  readonly gathering: Gathering;
  readonly part: number;
}

/**
 * A batch is closed when it has so many bytes, with a last record of a few more: then
 * it is one item in the broker's journal, not two.
 */
const BATCH_BYTES = 52 * 1024;
const LAST_RECORD_BYTES = 3 * 1024;
/** What fits a frame beside one largest message, with room for names and heads. */
const BATCH_BYTES_MIN = 32 * 1024;
/** Buffers that wait for a next batch. */
const BUFFERS_KEPT = 64;
/** Small batches share memory: to give each its own would take longer than to fill it. */
const SLAB_BYTES = 64 * 1024;
const SMALL_BYTES = 2 * 1024;

/** Buffers that batches are laid into; lent, not owned, so that many topics cost little. */
export class BufferPool {
  readonly #free: RecordBuffer[] = [];
  #messageBytesMax: number;
  #slab = new Uint8Array(0);
  #slabAt = 0;

  /** @param messageBytesMax Largest size of a message. */
  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Bytes at which a batch is closed: it must fit a frame (PROTOCOL 2.2). */
  get batchBytes(): number {
    return Math.min(BATCH_BYTES, this.#messageBytesMax + BATCH_BYTES_MIN);
  }

  /** The limit for what is lent from now on. */
  set messageBytesMax(bytes: number) {
    if (bytes === this.#messageBytesMax) return;
    this.#messageBytesMax = bytes;
    this.#free.length = 0;
  }

  /** An empty buffer. */
  lend(): RecordBuffer {
    return this.#free.pop() ??
      new RecordBuffer({ messageBytesMax: this.#messageBytesMax });
  }

  /** What was laid into a buffer, in memory that stays; the buffer is empty afterwards. */
  take(buffer: RecordBuffer): Uint8Array<ArrayBuffer> {
    const { length } = buffer;
    if (length > SMALL_BYTES) return buffer.take();
    if (this.#slab.length - this.#slabAt < length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#slabAt = 0;
    }
    const from = this.#slabAt;
    this.#slabAt += length;
    const bytes = this.#slab.subarray(from, this.#slabAt);
    buffer.takeInto(bytes);
    return bytes;
  }

  /** Takes a buffer back. */
  giveBack(buffer: RecordBuffer): void {
    buffer.clear();
    if (this.#free.length < BUFFERS_KEPT) this.#free.push(buffer);
  }
}

/** One topic of one handle. */
export class TopicQueue {
  readonly topic: string;
  readonly stream = new ProducerStream<Outgoing>();
  /** How often the other side's store had been replaced when it answered last. */
  replacements = 0;
  readonly #pool: BufferPool;
  readonly #line: SendLine;
  #open: OpenBatch | null = null;

  /**
   * @param topic Checked by the caller.
   * @param pool Where its buffers come from.
   * @param line Where its batches wait, with those of the other topics.
   */
  constructor(topic: string, pool: BufferPool, line: SendLine) {
    this.topic = topic;
    this.#pool = pool;
    this.#line = line;
  }

  /** When the open batch was begun, or `null` when none is open. */
  get openSinceMs(): number | null {
    return this.#open?.tag.beganMs ?? null;
  }

  /** Whether a batch takes more records. */
  isOpen(tag: Outgoing): boolean {
    return this.#open?.tag === tag;
  }

  /** All that is not on its way. */
  *waiting(): IterableIterator<Outgoing> {
    for (const { request, tag } of this.stream) if (request === null) yield tag;
    if (this.#open !== null) yield this.#open.tag;
  }

  /** Gives a batch out to be sent; `null` if it was taken back meanwhile. */
  next(tag: Outgoing, request: number): OutgoingBatch | null {
    return this.stream.peek()?.tag === tag ? this.stream.next(request) : null;
  }

  /** Whether nobody waits for an answer. */
  get isIdle(): boolean {
    if (this.#open !== null) return false;
    for (const { tag } of this.stream) if (!tag.isGivenUp) return false;
    return true;
  }

  /**
   * Encodes a record into the open batch. If that fails nothing is added.
   *
   * @returns Who hears of the batch: the caller of the record is to be added.
   * @throws {MomError} `value_unsupported`, `message_too_large`.
   */
  append(
    value: unknown,
    headers:
      | Readonly<Record<string, string | number | boolean | Uint8Array>>
      | undefined,
    terms: BatchTerms,
    nowMs: number,
  ): SingleCallers {
    const open = this.#openFor(terms, nowMs);
    const { records, gathering, part, callers } = open;
    const before = records.length;
    let bytes: number;
    try {
      bytes = records.append(value, headers);
    } catch (error) {
      if (before === 0) this.#discard(open);
      throw error;
    }
    const total = gathering.bytes + bytes;
    const most = this.#pool.batchBytes;
    if (!gathering.fits(bytes)) return this.#sendAlone(open, before);
    if (total < most) {
      gathering.add(part, bytes);
      return callers;
    }
    // A frame holds little beside one message of the largest size: what made the
    // batch too long travels alone.
    const isOneItem = gathering.bytes === 0 ||
      total <= most + LAST_RECORD_BYTES;
    if (!isOneItem) return this.#sendAlone(open, before);
    gathering.add(part, bytes);
    this.#line.seal();
    return callers;
  }

  /** Closes the open batch and what goes with it, so that they wait to be sent. */
  seal(): void {
    if (this.#open !== null) this.#line.seal();
  }

  /** Bytes of the open batch. */
  get openBytes(): number {
    return this.#open?.records.length ?? 0;
  }

  /**
   * The open batch takes no more. Called by what it belongs to.
   *
   * @param memory Where it is laid; `null`: in memory of its own.
   */
  close(memory: Uint8Array | null): void {
    const { records, tag } = this.#open!;
    const { count } = records;
    this.#open = null;
    if (memory === null) this.#put(this.#pool.take(records), count, tag);
    else {
      records.takeInto(memory);
      this.#put(memory, count, tag);
    }
    this.#pool.giveBack(records);
  }

  /** Puts encoded records behind all others. */
  push(
    bytes: Uint8Array,
    count: number,
    callers: Callers,
    terms: BatchTerms,
    beganMs: number,
  ): void {
    this.#line.seal();
    const tag = this.#begin(callers, terms, beganMs);
    this.#put(bytes, count, tag);
  }

  #begin(callers: Callers, terms: BatchTerms, beganMs: number): Outgoing {
    const tag = {
      isWanted: terms.isWanted,
      expiresMs: terms.expiresMs,
      epoch: terms.epoch,
      queue: this,
      order: this.#line.nextOrder(),
      callers,
      beganMs,
      bundled: null,
      isGivenUp: false,
      isNoted: false,
    };
    this.#line.push(tag);
    return tag;
  }

  #put(bytes: Uint8Array, count: number, tag: Outgoing): void {
    const firstSequence = this.stream.nextSequence;
    this.stream.push({ firstSequence, count, attributes: null, bytes, tag });
  }

  #openFor(terms: BatchTerms, nowMs: number): OpenBatch {
    const open = this.#open;
    if (open !== null && areSame(open.tag, terms)) return open;
    const gathering = this.#line.gather(terms, nowMs);
    const callers = new SingleCallers();
    const tag = this.#begin(callers, terms, nowMs);
    const part = gathering.join(this, tag);
    const records = this.#pool.lend();
    return this.#open = { records, callers, tag, gathering, part };
  }

  /** The last record goes out behind all that gathers, in a batch of its own. */
  #sendAlone(open: OpenBatch, before: number): SingleCallers {
    const { records, tag } = open;
    const last = records.takeLast(before);
    if (before === 0) this.#discard(open);
    const alone = new SingleCallers();
    this.push(last, 1, alone, tag, tag.beganMs);
    return alone;
  }

  /** Nothing was laid into the batch that was begun last. */
  #discard({ records, gathering, tag }: OpenBatch): void {
    this.#open = null;
    gathering.leave();
    this.#line.drop(tag);
    this.#pool.giveBack(records);
  }
}
