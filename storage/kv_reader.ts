/**
 * Reading from the key-value store beside the commits: in pieces, few at once,
 * so that whoever catches up does not hold up who publishes.
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";
import { isDamage, toStoreError } from "./kv_errors.ts";

/** Deno KV gives at most ten values a read: up to 600 KiB. */
const KEYS_PER_READ = 10;
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
    const pieces: Promise<ReadValue[]>[] = [];
    for (let at = 0; at < keys.length; at += KEYS_PER_READ) {
      pieces.push(this.#piece(keys.slice(at, at + KEYS_PER_READ)));
    }
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
}
