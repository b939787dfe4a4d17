/**
 * Reading logs in the order of appending: plans which journal values are
 * needed, gets them from memory or from the database, and picks the items.
 *
 * @module
 */

import type { Directory } from "./directory.ts";
import {
  type DamagedRange,
  type Item,
  ItemReader,
  type ReadResult,
} from "./item.ts";
import type { Journal } from "./journal.ts";
import type { KvReader } from "./kv_reader.ts";
import { journalKey } from "./layout.ts";
import { isIntact, SEAL_BYTES } from "./sealed_value.ts";
import type { ValueCache } from "./value_cache.ts";

/** A log and where to go on in it. */
export interface Want {
  /** The log. */
  readonly log: number;
  /** The first offset wanted. */
  readonly next: number;
}

/** What a read needs of one journal value. */
interface Step {
  readonly seq: number;
  /** The logs wanted of it, and how far each had come when the read was planned. */
  readonly ends: Map<number, number>;
  bytes: number;
}

/** `null` stands for a value that is missing or damaged. */
type Loaded = Uint8Array | null;

/** Values that one read takes in: about a megabyte. */
const STEPS_MAX = 18;
/** What an item costs a reader besides its bytes. */
const ITEM_COST_BYTES = 32;
const TRIES_MAX = 100;

/** The parts of a store that reading needs. */
export interface ReadSources {
  /** Where logs are. */
  readonly directory: Directory;
  /** Values that are not yet on disk. */
  readonly journal: Journal;
  /** Values that were used lately. */
  readonly cache: ValueCache;
  /** All others. */
  readonly reader: KvReader;
  /** The last commit that is on disk. */
  position(): number;
}

/** Reads items. */
export class LogReader {
  readonly #sources: ReadSources;
  readonly #loading = new Map<number, Promise<Loaded>>();

  /** Reads from `sources`. */
  constructor(sources: ReadSources) {
    this.#sources = sources;
  }

  /** As {@link read} when all it needs is in memory, else `null`. */
  readCached(wants: Iterable<Want>, maxBytes: number): ReadResult[] | null {
    const next = toNext(wants);
    const steps = this.#plan(next, maxBytes);
    const values: Loaded[] = [];
    for (const step of steps) {
      const value = this.#inMemory(step.seq);
      if (value === undefined) return null;
      values.push(value);
    }
    return this.#pick(steps, values, next, maxBytes);
  }

  /** Items that are on disk, of the logs wanted, in the order of appending. */
  async read(wants: Iterable<Want>, maxBytes: number): Promise<ReadResult[]> {
    const next = toNext(wants);
    // Trims meanwhile can take away all that was planned: then again.
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const steps = this.#plan(next, maxBytes);
      if (steps.length === 0) return [];
      const values = await this.#load(steps.map((step) => step.seq));
      const results = this.#pick(steps, values, next, maxBytes);
      if (results.length > 0) return results;
    }
    return [];
  }

  /** The first offset of `log` whose time is at least `timeMs`, also of what is not yet on disk. */
  async offsetAtTime(log: number, timeMs: number): Promise<number> {
    const index = this.#sources.directory.log(log);
    if (index === undefined) return 0;
    const range = index.at(index.placeOfTime(timeMs));
    if (range === null) return index.end;
    const [value] = await this.#load([range.seq]);
    const floor = Math.max(range.base, index.begin);
    if (value === null) return floor;
    const items = new ItemReader(value, SEAL_BYTES, value.length);
    try {
      while (items.next()) {
        if (items.log !== log || items.time < timeMs) continue;
        if (items.base + items.count > floor) {
          return Math.max(items.base, index.begin);
        }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return floor;
    }
    return Math.max(range.end, index.begin);
  }

  /** Which values hold the first `maxBytes` of what is wanted, in order. */
  #plan(next: ReadonlyMap<number, number>, maxBytes: number): Step[] {
    const steps = new Map<number, Step>();
    for (const [log, from] of next) this.#planLog(steps, log, from, maxBytes);
    const sorted = [...steps.values()].sort((a, b) => a.seq - b.seq);
    let bytes = 0;
    const needed = sorted.findIndex((step) =>
      (bytes += step.bytes) >= maxBytes
    );
    const count = needed === -1 ? sorted.length : needed + 1;
    return sorted.slice(0, Math.min(count, STEPS_MAX));
  }

  #planLog(
    steps: Map<number, Step>,
    log: number,
    from: number,
    maxBytes: number,
  ): void {
    const index = this.#sources.directory.log(log);
    if (index === undefined || from >= index.committedEnd) return;
    let place = index.find(Math.max(from, index.begin));
    let bytes = 0;
    for (let n = 0; n < STEPS_MAX; n++) {
      if (n > 0 && bytes >= maxBytes) return;
      const range = index.at(place);
      if (range === null || range.base >= index.committedEnd) return;
      const size = index.bytesAt(place++);
      // The first range may be half read: count it for little.
      const counted = n === 0 ? 1 : size;
      bytes += counted;
      const step = steps.get(range.seq);
      if (step === undefined) {
        const ends = new Map([[log, index.committedEnd]]);
        steps.set(range.seq, { seq: range.seq, ends, bytes: counted });
      } else {
        step.ends.set(log, index.committedEnd);
        step.bytes += counted;
      }
    }
  }

  #pick(
    steps: readonly Step[],
    values: readonly Loaded[],
    next: Map<number, number>,
    maxBytes: number,
  ): ReadResult[] {
    const results: ReadResult[] = [];
    let left = maxBytes;
    for (const [i, step] of steps.entries()) {
      const value = values[i];
      if (value !== null) {
        left = this.#pickItems(value, next, left, results);
        if (left <= 0) break;
      }
      for (const [log, end] of step.ends) {
        const damaged = this.#damagedIn(step.seq, log, end, next);
        if (damaged !== null) results.push(damaged);
      }
    }
    return results;
  }

  /** Adds the wanted items of a value; returns what is left of the budget, 0 when reading is to end. */
  #pickItems(
    value: Uint8Array,
    next: Map<number, number>,
    left: number,
    results: ReadResult[],
  ): number {
    const { directory } = this.#sources;
    const position = this.#sources.position();
    const items = new ItemReader(value, SEAL_BYTES, value.length);
    try {
      while (items.next()) {
        if (items.position > position) return 0;
        const from = next.get(items.log);
        if (from === undefined) continue;
        const end = items.base + items.count;
        if (end <= from) continue;
        const begin = directory.log(items.log)?.begin;
        if (begin === undefined || end <= begin) continue;
        const item: Item = items.item();
        results.push(item);
        next.set(items.log, end);
        left -= item.meta.length + item.body.length + ITEM_COST_BYTES;
        if (left <= 0) return 0;
      }
    } catch (error) {
      // Intact by its CRC and yet no items: what is behind is as good as damaged.
      if (!(error instanceof RangeError)) throw error;
    }
    return left;
  }

  /**
   * What a value should have given and did not. Only up to `plannedEnd`: a value
   * that still grows was taken as it was then, and is no worse for what was
   * committed to it while others were read from the disk.
   */
  #damagedIn(
    seq: number,
    log: number,
    plannedEnd: number,
    next: Map<number, number>,
  ): DamagedRange | null {
    const index = this.#sources.directory.log(log);
    const range = index?.inValue(seq) ?? null;
    if (index === undefined || range === null) return null;
    const from = next.get(log) ?? 0;
    const base = Math.max(from, range.base, index.begin);
    const end = Math.min(range.end, plannedEnd);
    if (base >= end) return null;
    next.set(log, end);
    return { log, base, count: end - base, damaged: true };
  }

  #inMemory(seq: number): Uint8Array | undefined {
    const held = this.#sources.journal.held(seq);
    if (held !== undefined) return held.bytes.subarray(0, held.length);
    return this.#sources.cache.get(seq);
  }

  async #load(seqs: readonly number[]): Promise<Loaded[]> {
    const missing: number[] = [];
    const values = seqs.map((seq) => {
      const value = this.#inMemory(seq) ?? this.#loading.get(seq);
      if (value === undefined) missing.push(seq);
      return value;
    });
    if (missing.length > 0) this.#fetch(missing);
    return await Promise.all(
      values.map((value, i) => value ?? this.#loading.get(seqs[i]) ?? null),
    );
  }

  /** Begins to read values; whoever wants one of them meanwhile shares it. */
  #fetch(seqs: readonly number[]): void {
    const all = this.#sources.reader.getMany(seqs.map(journalKey));
    seqs.forEach((seq, i) => {
      const one = all.then((values) => this.#arrived(seq, values[i]));
      this.#loading.set(seq, one.finally(() => this.#loading.delete(seq)));
    });
  }

  #arrived(seq: number, value: unknown): Loaded {
    const length = this.#sources.directory.lengthOf(seq);
    if (length === 0 || !isIntact(value, journalKey(seq))) return null;
    // What is behind the length that the directory knows was never committed.
    const known = value.subarray(0, length);
    this.#sources.cache.set(seq, known);
    return known;
  }
}

function toNext(wants: Iterable<Want>): Map<number, number> {
  const next = new Map<number, number>();
  for (const { log, next: from } of wants) next.set(log, from);
  return next;
}
