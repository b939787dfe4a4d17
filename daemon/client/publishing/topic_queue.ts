/**
 * What a handle publishes to one topic: the batch that records are still laid
 * into, and behind the last one sent those that wait. Records that cannot travel
 * together (another expiry, another level) begin a new batch. No I/O.
 *
 * @module
 */

import { RecordBuffer } from "../../../protocol/record.ts";
import { type PendingBatch, ProducerStream } from "../../stream.ts";
import { type Callers, SingleCallers } from "./receipts.ts";
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

  /** All that is not on its way. */
  *waiting(): IterableIterator<Outgoing> {
    for (const { request, tag } of this.stream) if (request === null) yield tag;
    if (this.#open !== null) yield this.#open.tag;
  }

  /** Gives a batch out to be sent; `null` if it was taken back meanwhile. */
  next(tag: Outgoing, request: number): OutgoingBatch | null {
    if (this.#open?.tag === tag) this.seal();
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
    const before = open.records.length;
    try {
      open.records.append(value, headers);
    } catch (error) {
      if (before === 0) this.#discard(open);
      throw error;
    }
    if (open.records.length < this.#pool.batchBytes) return open.callers;
    // A frame holds little beside one message of the largest size: what made the
    // batch too long travels alone.
    const isOneItem = before === 0 ||
      open.records.length <= this.#pool.batchBytes + LAST_RECORD_BYTES;
    return isOneItem ? this.#close(open) : this.#closeBefore(open, before);
  }

  /** Closes the open batch, so that it waits to be sent. */
  seal(): void {
    if (this.#open !== null) this.#close(this.#open);
  }

  /** Puts encoded records behind all others. */
  push(
    bytes: Uint8Array,
    count: number,
    callers: Callers,
    terms: BatchTerms,
    beganMs: number,
  ): void {
    this.seal();
    const tag = this.#begin(callers, terms, beganMs);
    this.#line.push(tag);
    this.#put(bytes, count, tag);
  }

  #begin(callers: Callers, terms: BatchTerms, beganMs: number): Outgoing {
    return {
      isWanted: terms.isWanted,
      expiresMs: terms.expiresMs,
      epoch: terms.epoch,
      queue: this,
      order: this.#line.begin(this),
      callers,
      beganMs,
      isGivenUp: false,
      isNoted: false,
    };
  }

  #put(bytes: Uint8Array, count: number, tag: Outgoing): void {
    const firstSequence = this.stream.nextSequence;
    this.stream.push({ firstSequence, count, attributes: null, bytes, tag });
  }

  #openFor(terms: BatchTerms, nowMs: number): OpenBatch {
    const open = this.#open;
    if (open !== null) {
      if (areSame(open.tag, terms)) return open;
      this.#close(open);
    }
    const callers = new SingleCallers();
    const tag = this.#begin(callers, terms, nowMs);
    this.#line.push(tag);
    return this.#open = { records: this.#pool.lend(), callers, tag };
  }

  #close(open: OpenBatch): SingleCallers {
    const { records, callers, tag } = open;
    const { count } = records;
    this.#put(this.#pool.take(records), count, tag);
    this.#discard(open);
    return callers;
  }

  #closeBefore(open: OpenBatch, at: number): SingleCallers {
    const { records, tag } = open;
    const count = records.count - 1;
    const bytes = records.take();
    const alone = new SingleCallers();
    this.#put(bytes.subarray(0, at), count, tag);
    this.#discard(open);
    this.push(bytes.subarray(at), 1, alone, tag, tag.beganMs);
    return alone;
  }

  #discard(open: OpenBatch): void {
    this.#open = null;
    this.#pool.giveBack(open.records);
  }
}

function areSame(a: BatchTerms, b: BatchTerms): boolean {
  return a.isWanted === b.isWanted && a.expiresMs === b.expiresMs &&
    a.epoch === b.epoch;
}
