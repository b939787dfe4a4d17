/**
 * All logs and all journal values in memory: which log is where, and which
 * values hold nothing that anyone still wants.
 *
 * @module
 */

import type { DirectoryEntry } from "./directory_entry.ts";
import { LogIndex } from "./log_index.ts";

/** What is known of a journal value. */
interface ValueInfo {
  /** How many logs have something in it. */
  live: number;
  /** Its size. */
  length: number;
}

/** The index of the journal. */
export class Directory {
  readonly #logs = new Map<number, LogIndex>();
  readonly #values = new Map<number, ValueInfo>();
  readonly #dead: number[] = [];
  #bytes = 0;
  /** The value that may still grow, or 0: it is never dead. */
  tailSeq = 0;

  /** Bytes of all journal values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many values wait for their deletion. */
  get deadCount(): number {
    return this.#dead.length;
  }

  /** Number of journal values. */
  get valueCount(): number {
    return this.#values.size;
  }

  /** The numbers of all logs. */
  logs(): Iterable<number> {
    return this.#logs.keys();
  }

  /** The log, if there is one. */
  log(number: number): LogIndex | undefined {
    return this.#logs.get(number);
  }

  /** A new log that begins at `begin`. */
  create(number: number, begin = 0): LogIndex {
    const log = new LogIndex(number);
    log.begin = log.end = log.committedEnd = begin;
    this.#logs.set(number, log);
    return log;
  }

  /** Notes an append. */
  add(
    log: LogIndex,
    seq: number,
    count: number,
    bytes: number,
    time: number,
  ): void {
    if (log.add(seq, count, bytes, time)) this.#value(seq).live++;
  }

  /** Notes how large a value has become. */
  setLength(seq: number, length: number): void {
    const value = this.#value(seq);
    this.#bytes += length - value.length;
    value.length = length;
  }

  /** Size of a value, 0 if it is not known. */
  lengthOf(seq: number): number {
    return this.#values.get(seq)?.length ?? 0;
  }

  /** Makes offsets gone. */
  trim(log: LogIndex, begin: number): void {
    log.trim(begin, (seq) => this.#drop(seq));
  }

  /** Ends a log. */
  remove(log: LogIndex): void {
    for (const seq of log.seqs()) this.#drop(seq);
    this.#logs.delete(log.log);
  }

  /** A value will not grow any more: it may be dead already. */
  finish(seq: number): void {
    if (this.#values.get(seq)?.live === 0) this.#dead.push(seq);
  }

  /** Takes up to `most` dead values out; they are forgotten. */
  takeDead(most: number): number[] {
    const taken = this.#dead.splice(0, most);
    for (const seq of taken) {
      this.#bytes -= this.#values.get(seq)?.length ?? 0;
      this.#values.delete(seq);
    }
    return taken;
  }

  /** Loads a value's entry at opening; values come in order, after all logs. */
  load(seq: number, entry: DirectoryEntry): void {
    this.setLength(seq, entry.length);
    for (const range of entry.ranges) {
      const log = this.#logs.get(range.log);
      if (log === undefined || range.end <= log.begin) continue;
      // The first range may begin below what is left of the log.
      if (log.isEmpty) log.end = range.base;
      this.add(log, seq, range.end - log.end, range.bytes, range.time);
      log.committedEnd = log.end;
    }
    this.finish(seq);
  }

  #value(seq: number): ValueInfo {
    let value = this.#values.get(seq);
    if (value === undefined) {
      value = { live: 0, length: 0 };
      this.#values.set(seq, value);
    }
    return value;
  }

  #drop(seq: number): void {
    const value = this.#value(seq);
    value.live--;
    if (value.live === 0 && seq !== this.tailSeq) this.#dead.push(seq);
  }
}
