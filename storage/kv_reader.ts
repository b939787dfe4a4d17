/**
 * Reading from the key-value store beside the commits: in pieces, few at once,
 * so that whoever catches up does not hold up who publishes.
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";
import { isDamage, toStoreError } from "./kv_errors.ts";

/** Deno KV gives at most ten values a read of single keys: up to 600 KiB. */
const KEYS_PER_READ = 10;
/** Values that one read of a range gives: about a megabyte. */
const RANGE_KEYS_MAX = 18;
const READS_AT_ONCE = 4;

/** Stands for a value that the database itself can't give any more. */
export const UNREADABLE: unique symbol = Symbol("unreadable");

/** What a read gives: the value, `null` if there is none, or {@link UNREADABLE}. */
export type ReadValue = unknown;

/** A reader of many keys. */
export class KvReader {
  readonly #kv: Deno.Kv;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #isClosed = false;
  #onIdle: (() => void) | null = null;

  /** Reads through `kv`; closing that is the caller's. */
  constructor(kv: Deno.Kv) {
    this.#kv = kv;
  }

  /**
   * The values of `keys`, in their order.
   *
   * @throws {MomError} `closed`, or what the database's failure means.
   */
  async getMany(keys: readonly Deno.KvKey[]): Promise<ReadValue[]> {
    const pieces = cut(keys).map((piece) => this.#piece(piece));
    // All are waited for, so that no rejection goes unseen.
    const results = await Promise.allSettled(pieces);
    return results.flatMap((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    });
  }

  /** Lets running reads end and refuses all others. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const resume of this.#waiting.splice(0)) resume();
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => this.#onIdle = resolve);
  }

  async #piece(keys: readonly Deno.KvKey[]): Promise<ReadValue[]> {
    if (this.#running >= READS_AT_ONCE && !this.#isClosed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#isClosed) {
      throw new MomError("closed", "Cannot read the store: it is closed");
    }
    this.#running++;
    try {
      return await this.#read(keys);
    } catch (error) {
      throw toStoreError(error, "read the store");
    } finally {
      this.#running--;
      if (this.#running === 0) this.#onIdle?.();
      this.#waiting.shift()?.();
    }
  }

  async #read(keys: readonly Deno.KvKey[]): Promise<ReadValue[]> {
    try {
      if (keys.length > 1 && lengthOfRun(keys, 0) === keys.length) {
        return await this.#readRange(keys);
      }
      const entries = await this.#kv.getMany(keys as Deno.KvKey[]);
      return entries.map((entry) => entry.value);
    } catch (error) {
      if (!isDamage(error)) throw error;
      // One bad page must not take its nine neighbours with it.
      if (keys.length === 1) return [UNREADABLE];
      const values: ReadValue[] = [];
      for (const key of keys) values.push(...await this.#read([key]));
      return values;
    }
  }

  /**
   * Keys that follow one another: as a range they cost a third of the time, for
   * Deno KV reads each of `getMany()` as a range of its own.
   */
  async #readRange(keys: readonly Deno.KvKey[]): Promise<ReadValue[]> {
    const prefix = keys[0].slice(0, -1);
    const first = numberOf(keys[0])!;
    const values: ReadValue[] = new Array(keys.length).fill(null);
    const selector = {
      start: keys[0],
      end: [...prefix, first + keys.length],
    };
    const options = { limit: keys.length, batchSize: keys.length };
    for await (const { key, value } of this.#kv.list(selector, options)) {
      values[numberOf(key)! - first] = value;
    }
    return values;
  }
}

/** In their order: ranges where keys follow one another, else a few at a time. */
function cut(keys: readonly Deno.KvKey[]): Deno.KvKey[][] {
  const pieces: Deno.KvKey[][] = [];
  let singles: Deno.KvKey[] | null = null;
  for (let at = 0; at < keys.length;) {
    const length = Math.min(lengthOfRun(keys, at), RANGE_KEYS_MAX);
    const piece = keys.slice(at, at + length);
    at += length;
    if (length === 1 && singles !== null && singles.length < KEYS_PER_READ) {
      singles.push(...piece);
      continue;
    }
    pieces.push(piece);
    singles = length === 1 ? piece : null;
  }
  return pieces;
}

/** How many keys from `at` on differ by one each, in their last part only. */
function lengthOfRun(keys: readonly Deno.KvKey[], at: number): number {
  const first = keys[at];
  const start = numberOf(first);
  if (start === null) return 1;
  let length = 1;
  while (at + length < keys.length) {
    const key = keys[at + length];
    const isNext = numberOf(key) === start + length &&
      key.length === first.length &&
      first.every((part, i) => i === first.length - 1 || part === key[i]);
    if (!isNext) break;
    length++;
  }
  return length;
}

function numberOf(key: Deno.KvKey): number | null {
  const last = key.at(-1);
  return typeof last === "number" ? last : null;
}
