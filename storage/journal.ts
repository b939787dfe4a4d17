/**
 * Where appended items gather: one journal for all logs, in values of up to
 * 60 KiB. The last value (the tail) goes on growing while it is small, so that
 * appends one at a time do not become a million tiny values.
 *
 * Bytes that were handed out never change: values are only extended, and
 * buffers are not used again.
 *
 * @module
 */

import { encodeDirectoryEntry, type LogRange } from "./directory_entry.ts";
import {
  type BlobPointer,
  ITEM_HEAD_BYTES_MAX,
  type ItemHead,
  writeItem,
} from "./item.ts";
import {
  journalKey,
  type Mutation,
  TAIL_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "./layout.ts";
import { seal, SEAL_BYTES } from "./sealed_value.ts";

const CHUNK_BYTES = 256 * 1024;

/** A journal value in the making, or waiting for its commit. */
export class JournalValue {
  /** Its number. */
  readonly seq: number;
  /** Its bytes, up to {@link length}; room behind them while it grows. */
  bytes: Uint8Array;
  /** Bytes used. */
  length = SEAL_BYTES;
  /** Commit of its last item. */
  lastPosition = 0;
  /** What it holds, by log. */
  readonly ranges: Map<number, LogRange> = new Map();
  /** Commits under way that hold (part of) it. */
  pins = 0;
  /** Whether the open group added to it. */
  isTouched = false;

  /** An empty value. */
  constructor(seq: number, bytes: Uint8Array) {
    this.seq = seq;
    this.bytes = bytes;
  }

  /** Bytes that can still be added. */
  get room(): number {
    return VALUE_BYTES_MAX - this.length;
  }
}

/** What sealing gives: values to store, entries for the directory, and what to keep until it is on disk. */
export interface SealedValues {
  /** The values. */
  readonly mutations: Mutation[];
  /** Value number → its directory entry. */
  readonly entries: [seq: number, entry: Uint8Array][];
  /** To be given to {@link Journal.release} after the commit. */
  readonly values: JournalValue[];
}

/** Who wants to know how values fare. */
export interface JournalWatcher {
  /** A value will never grow again. */
  onFinished(seq: number): void;
  /** A value is finished and on disk as a whole; the journal lets go of it. */
  onStored(value: JournalValue): void;
}

/** The journal's growing end. */
export class Journal {
  #nextSeq: number;
  #tail: JournalValue | null = null;
  #touched: JournalValue[] = [];
  #chunk = new Uint8Array(0);
  #chunkAt = 0;
  readonly #held = new Map<number, JournalValue>();
  readonly #watcher: JournalWatcher;

  /** @param nextSeq Number of the next value. */
  constructor(nextSeq: number, watcher: JournalWatcher) {
    this.#nextSeq = nextSeq;
    this.#watcher = watcher;
  }

  /** Number of the next value. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Number of the value that may still grow, or 0. */
  get tailSeq(): number {
    return this.#tail === null ? 0 : this.#tail.seq;
  }

  /** A value that is not yet on disk as a whole, or may still grow. */
  held(seq: number): JournalValue | undefined {
    return this.#held.get(seq);
  }

  /**
   * Copies an item behind the others.
   *
   * @returns Number of the value that took it.
   */
  append(
    head: ItemHead,
    meta: Uint8Array,
    body: Uint8Array | BlobPointer,
  ): number {
    const inPlace = body instanceof Uint8Array;
    const size = meta.length + (inPlace ? body.length : 0);
    const value = this.#valueWithRoom(size + ITEM_HEAD_BYTES_MAX);
    const tellCommit = value.lastPosition !== head.position;
    value.length = writeItem(
      value.bytes,
      value.length,
      head,
      tellCommit,
      meta,
      body,
    );
    value.lastPosition = head.position;
    const bytes = meta.length + (inPlace ? body.length : body.bytes);
    const range = value.ranges.get(head.log);
    if (range === undefined) {
      value.ranges.set(head.log, {
        log: head.log,
        base: head.base,
        end: head.base + head.count,
        bytes,
        time: head.time,
      });
    } else {
      range.end = head.base + head.count;
      range.bytes += bytes;
      range.time = head.time;
    }
    return value.seq;
  }

  /** Closes the open group: gives what it added. */
  seal(): SealedValues {
    const values = this.#touched;
    this.#touched = [];
    const mutations: Mutation[] = [];
    const entries: [number, Uint8Array][] = [];
    for (const value of values) {
      value.isTouched = false;
      value.pins++;
      const grows = value === this.#tail && value.length < TAIL_BYTES_MAX;
      // What may grow is sealed on a copy: its CRC changes with the next group
      // while this one still waits for its commit.
      const bytes = grows
        ? value.bytes.slice(0, value.length)
        : value.bytes.subarray(0, value.length);
      const key = journalKey(value.seq);
      seal(bytes, key);
      mutations.push({ key, value: bytes });
      entries.push([
        value.seq,
        encodeDirectoryEntry(value.length, value.ranges.values()),
      ]);
      if (value === this.#tail && !grows) this.#finishTail();
    }
    return { mutations, entries, values };
  }

  /** After the commit of what {@link seal} gave. */
  release(values: readonly JournalValue[]): void {
    for (const value of values) {
      value.pins--;
      this.#letGoIfDone(value);
    }
  }

  #letGoIfDone(value: JournalValue): void {
    if (value.pins > 0 || value.isTouched || value === this.#tail) return;
    this.#held.delete(value.seq);
    this.#watcher.onStored(value);
  }

  #valueWithRoom(bytes: number): JournalValue {
    let tail = this.#tail;
    if (tail !== null && tail.room < bytes) {
      this.#finishTail();
      tail = null;
    }
    if (tail === null) {
      tail = new JournalValue(this.#nextSeq++, this.#buffer());
      this.#tail = tail;
      this.#held.set(tail.seq, tail);
    }
    if (!tail.isTouched) {
      tail.isTouched = true;
      this.#touched.push(tail);
    }
    return tail;
  }

  #finishTail(): void {
    const tail = this.#tail;
    if (tail === null) return;
    this.#tail = null;
    // Gives back what it did not use.
    if (tail.bytes.buffer === this.#chunk.buffer) {
      this.#chunkAt = tail.bytes.byteOffset + tail.length;
    }
    tail.bytes = tail.bytes.subarray(0, tail.length);
    this.#watcher.onFinished(tail.seq);
    this.#letGoIfDone(tail);
  }

  #buffer(): Uint8Array {
    if (this.#chunk.length - this.#chunkAt < VALUE_BYTES_MAX) {
      this.#chunk = new Uint8Array(CHUNK_BYTES);
      this.#chunkAt = 0;
    }
    const from = this.#chunkAt;
    this.#chunkAt += VALUE_BYTES_MAX;
    return this.#chunk.subarray(from, from + VALUE_BYTES_MAX);
  }
}
