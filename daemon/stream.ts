/**
 * The sending side of one (producer, topic): which batches have no answer yet,
 * in which order they go out, what stands in `previous`, and what goes out again
 * after a refusal or a lost connection (PROTOCOL 8.2, 8.3). Pure: the owner sends,
 * receives and decides how much may be under way.
 *
 * Unanswered batches stand in the order of their sequences. Those that were
 * sent on this connection come first, those that wait to be sent follow:
 *
 * ```text
 *        answered │ in flight       │ waiting
 *   … 4 5 6 7 8 9 │ 10…12   13…20   │ 21…21   30…34      (22…29: a hole)
 *       accepted ─┘                 └─ next
 * ```
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";

/** What the owner puts in. */
export interface NewBatch<T> {
  /** Sequence of the first record; above every earlier one of this stream. */
  readonly firstSequence: number;
  /** How many records. */
  readonly count: number;
  /** For all records of the batch (PROTOCOL 8.5). */
  readonly attributes: Map<number, unknown> | null;
  /** The records, back to back. */
  readonly bytes: Uint8Array;
  /** Whatever the owner keeps with it. */
  readonly tag: T;
}

/** A batch without a final answer. */
export interface PendingBatch<T> extends NewBatch<T> {
  /** Number of its last sending, `null` while it waits to be sent. */
  readonly request: number | null;
  /** The `previous` of its last sending. */
  readonly previous: number;
  /** How often it was given out to be sent. 0: nobody can have it. */
  readonly sendings: number;
}

interface Entry<T> extends PendingBatch<T> {
  request: number | null;
  previous: number;
  sendings: number;
}

/** Answered entries before the first pending one, at which the list is cut. */
const SPENT_ENTRIES_MAX = 256;

/**
 * The unanswered batches of one (producer, topic).
 *
 * @example Two batches, the first is refused for good
 * ```ts
 * import { ProducerStream } from "./stream.ts";
 *
 * const stream = new ProducerStream<string>();
 * const rest = { count: 1, attributes: null, bytes: new Uint8Array() };
 * stream.push({ ...rest, firstSequence: 1, tag: "one" });
 * stream.push({ ...rest, firstSequence: 2, tag: "two" });
 * stream.next(7);
 * stream.next(8);
 * stream.refused(7);
 * stream.outOfSequence(8, 0);
 * const again = stream.next(9);
 * if (again?.tag !== "two" || again.previous !== 0) throw again;
 * ```
 */
export class ProducerStream<T> {
  #entries: (Entry<T> | undefined)[] = [];
  /** Index of the first entry. */
  #head = 0;
  /** Index of the first waiting entry. */
  #next = 0;
  /** Highest sequence that the other side is known to have. */
  #accepted: number;
  /** Highest sequence that was put in or is known to the other side. */
  #end: number;
  #bytes = 0;
  #inFlightBytes = 0;

  /**
   * @param accepted Highest sequence that the other side is known to have stored;
   *   0 for a new producer.
   */
  constructor(accepted: number = 0) {
    this.#accepted = accepted;
    this.#end = accepted;
  }

  /** Highest sequence that the other side is known to have. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Sequence that the next new record gets, unless its owner leaves a hole. */
  get nextSequence(): number {
    return this.#end + 1;
  }

  /** How many batches have no final answer. */
  get size(): number {
    return this.#entries.length - this.#head;
  }

  /** How many of them are in flight. */
  get inFlight(): number {
    return this.#next - this.#head;
  }

  /** How many of them wait to be sent. */
  get waiting(): number {
    return this.#entries.length - this.#next;
  }

  /** Bytes of all batches without a final answer. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of those in flight. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** The oldest batch without a final answer. */
  first(): PendingBatch<T> | null {
    return this.#entries[this.#head] ?? null;
  }

  /** The batch that `next` would give. */
  peek(): PendingBatch<T> | null {
    return this.#entries[this.#next] ?? null;
  }

  /** All batches without a final answer, in order. Not to be changed meanwhile. */
  *[Symbol.iterator](): IterableIterator<PendingBatch<T>> {
    for (let i = this.#head; i < this.#entries.length; i++) {
      yield this.#entries[i]!;
    }
  }

  /**
   * Puts a batch behind the others.
   *
   * @throws {RangeError} If its sequences do not lie above all earlier ones; a
   *   defect of the owner.
   */
  push(batch: NewBatch<T>): PendingBatch<T> {
    const { firstSequence, count, attributes, bytes, tag } = batch;
    if (firstSequence <= this.#end || count < 1) {
      throw new RangeError(
        `Cannot queue batch ${firstSequence}+${count}: the stream is at ${this.#end}`,
      );
    }
    const entry: Entry<T> = {
      firstSequence,
      count,
      attributes,
      bytes,
      tag,
      request: null,
      previous: 0,
      sendings: 0,
    };
    this.#entries.push(entry);
    this.#end = lastOf(entry);
    this.#bytes += bytes.length;
    return entry;
  }

  /**
   * Gives out the next batch to be sent and counts it as in flight.
   *
   * @param request Number of the PUBLISH; above that of every earlier call on
   *   this connection.
   * @returns The batch with its `previous`, or `null` when nothing waits.
   */
  next(request: number): PendingBatch<T> | null {
    const entry = this.#entries[this.#next];
    if (entry === undefined) return null;
    entry.request = request;
    entry.previous = this.#previousOf(this.#next, entry);
    entry.sendings++;
    this.#next++;
    this.#inFlightBytes += entry.bytes.length;
    return entry;
  }

  /**
   * The other side has the batch, but a further answer is wanted: it stays.
   *
   * @returns The batch, or `null` if the request is not its last sending.
   */
  noted(request: number): PendingBatch<T> | null {
    const index = this.#find(request);
    if (index === -1) return null;
    const entry = this.#entries[index]!;
    this.#accepted = Math.max(this.#accepted, lastOf(entry));
    return entry;
  }

  /**
   * The other side has the batch; that was the final answer.
   *
   * @returns The batch, or `null` if the request is not its last sending.
   */
  answered(request: number): PendingBatch<T> | null {
    const entry = this.noted(request);
    if (entry !== null) this.#remove(this.#find(request));
    return entry;
  }

  /**
   * The batch was refused: its numbers become a hole. What was sent behind it
   * comes back as out of sequence and then goes with a `previous` before the hole.
   *
   * @returns The batch, or `null` if the request is not its last sending.
   */
  refused(request: number): PendingBatch<T> | null {
    const index = this.#find(request);
    return index === -1 ? null : this.#remove(index);
  }

  /**
   * Puts parts of a batch in its place: all that was sent goes out again, with them.
   * Sequences that are in none of them become holes.
   */
  replace(request: number, parts: readonly NewBatch<T>[]): void {
    const index = this.#find(request);
    if (index === -1) return;
    const { length } = this.#entries[index]!.bytes;
    this.rewind();
    const entries = parts.map((part) => ({
      ...part,
      request: null,
      previous: 0,
      sendings: 0,
    }));
    this.#entries.splice(index, 1, ...entries);
    for (const { bytes } of parts) this.#bytes += bytes.length;
    this.#bytes -= length;
  }

  /**
   * Takes back a batch that was never given out: its numbers become a hole.
   *
   * @returns Whether it was taken back; `false` when somebody may have it.
   */
  withdraw(batch: PendingBatch<T>): boolean {
    if (batch.sendings > 0) return false;
    const index = this.#entries.indexOf(batch as Entry<T>, this.#next);
    if (index === -1) return false;
    this.#remove(index);
    return true;
  }

  /**
   * The other side has nothing behind `last`, and the request does not follow:
   * everything behind `last` goes out again, in order. Answers to the earlier
   * sendings are ignored from now on, so one disturbance costs one repetition.
   *
   * @param last May be lower than before, when the other side lost what it had.
   * @param isAnswer Whether having the batch is the final answer to it; otherwise
   *   it goes out again and is answered as known.
   * @param isBundled Whether it may have been refused for another part of its
   *   bundle, though it follows (PROTOCOL 8.12).
   * @returns The batches that the other side has whole: answered by this.
   * @throws {MomError} `bad_message` if the answer contradicts the request; the
   *   connection is of no use then.
   */
  outOfSequence(
    request: number,
    last: number,
    isAnswer: (batch: PendingBatch<T>) => boolean = () => true,
    isBundled: (batch: PendingBatch<T>) => boolean = () => false,
  ): PendingBatch<T>[] {
    const index = this.#find(request);
    if (index === -1) return [];
    const entry = this.#entries[index]!;
    const { previous } = entry;
    if (previous <= last && !isBundled(entry)) {
      throw new MomError(
        "bad_message",
        `Cannot go on after out_of_sequence: last ${last} is not below previous ${previous}`,
      );
    }
    this.rewind();
    this.#accepted = last;
    return this.#removeThrough(last, isAnswer);
  }

  /** The connection is lost: everything goes out again. */
  rewind(): void {
    for (let i = this.#head; i < this.#next; i++) {
      this.#entries[i]!.request = null;
    }
    this.#next = this.#head;
    this.#inFlightBytes = 0;
  }

  /** Takes out everything, sent or not. */
  clear(): PendingBatch<T>[] {
    this.rewind();
    const all = [...this];
    this.#entries = [];
    this.#head = this.#next = this.#bytes = 0;
    return all;
  }

  #previousOf(index: number, entry: Entry<T>): number {
    const before = index === this.#head
      ? this.#accepted
      : Math.max(this.#accepted, lastOf(this.#entries[index - 1]!));
    // What is known to be there may lie behind a batch that is sent again.
    return Math.min(before, entry.firstSequence - 1);
  }

  /** Requests rise from entry to entry: each was sent behind the one before. */
  #find(request: number): number {
    let low = this.#head;
    let high = this.#next;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.request! < request) low = middle + 1;
      else high = middle;
    }
    const isFound = low < this.#next &&
      this.#entries[low]!.request === request;
    return isFound ? low : -1;
  }

  #remove(index: number): Entry<T> {
    const entry = this.#entries[index]!;
    this.#bytes -= entry.bytes.length;
    if (index < this.#next) {
      this.#inFlightBytes -= entry.bytes.length;
      entry.request = null;
    }
    if (index === this.#head) {
      this.#entries[index] = undefined;
      this.#head++;
      if (this.#next < this.#head) this.#next = this.#head;
      this.#trim();
    } else {
      this.#entries.splice(index, 1);
      if (index < this.#next) this.#next--;
    }
    return entry;
  }

  #removeThrough(
    last: number,
    isAnswer: (batch: PendingBatch<T>) => boolean,
  ): PendingBatch<T>[] {
    const known = this.#entries.slice(this.#head)
      .filter((entry) => lastOf(entry!) <= last && isAnswer(entry!));
    for (const entry of known) {
      this.#remove(this.#entries.indexOf(entry, this.#head));
    }
    return known as PendingBatch<T>[];
  }

  #trim(): void {
    if (this.#head === this.#entries.length) {
      this.#entries.length = 0;
    } else if (this.#head >= SPENT_ENTRIES_MAX) {
      this.#entries.splice(0, this.#head);
    } else return;
    this.#next -= this.#head;
    this.#head = 0;
  }
}

function lastOf<T>(batch: NewBatch<T>): number {
  return batch.firstSequence + batch.count - 1;
}
