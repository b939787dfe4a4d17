/**
 * What the tests of the store share.
 *
 * @module
 */

import {
  type Clock,
  systemClock,
  systemEntropy,
  type Timer,
} from "../../protocol/clock.ts";
import type { MomError } from "../../protocol/errors.ts";
import { type Item, Store, type StoreOptions } from "../../storage/store.ts";

/** A clock that goes when told. Timers fire within `advance`. */
export class TestClock implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly #timers = new Map<object, { atMs: number; run: () => void }>();

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const key = {};
    this.#timers.set(key, { atMs: this.#nowMs + delayMs, run: callback });
    return { cancel: () => this.#timers.delete(key) };
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const [key, { atMs, run }] of [...this.#timers]) {
      if (atMs <= this.#nowMs && this.#timers.delete(key)) run();
    }
  }

  /** The wall clock is set to another time. */
  jumpTo(ms: number): void {
    this.#nowMs = ms;
  }
}

/** A folder that is gone at the end of the block. */
export async function tempFolder(): Promise<
  { path: string } & AsyncDisposable
> {
  const path = await Deno.makeTempDir({ prefix: "mom_store_" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** Opens a store with defaults fit for tests; a failure that nobody expects is thrown. */
export function openStore(
  data: string,
  options: Partial<StoreOptions> = {},
): Promise<Store> {
  return Store.open({
    data,
    role: "broker",
    clock: systemClock,
    entropy: systemEntropy,
    onFailed: (error: MomError) => {
      throw error;
    },
    onSeal: () => null,
    ...options,
    limits: { reserveBytes: 0, freeBytesMin: 0, ...options.limits },
  });
}

/** `text` as bytes. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Bytes as text. */
export function text(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}

export const NOTHING = new Uint8Array(0);

/** `length` bytes that follow from `seed`. */
export function pattern(length: number, seed: number): Uint8Array {
  const result = new Uint8Array(length);
  let state = (seed + 1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    result[i] = state >>> 24;
  }
  return result;
}

/** All that is on disk of some logs; fails on damaged ranges. */
export async function readAll(
  store: Store,
  logs: Iterable<number>,
  maxBytes = 100_000,
): Promise<Item[]> {
  const next = new Map([...logs].map((log) => [log, store.begin(log)]));
  const items: Item[] = [];
  for (;;) {
    const wants = [...next].map(([log, from]) => ({ log, next: from }));
    const results = await store.readInOrder(wants, maxBytes);
    if (results.length === 0) return items;
    for (const item of results) {
      if ("damaged" in item) {
        throw new Error(`Damaged: log ${item.log} at ${item.base}`);
      }
      next.set(item.log, item.base + item.count);
      items.push(item);
    }
  }
}

/** Opens the database of a store beside it. */
export async function withDatabase(
  folder: string,
  change: (kv: Deno.Kv) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(`${folder}/store.kv`);
  try {
    await change(kv);
  } finally {
    kv.close();
  }
}

/** How many entries have this prefix. */
export async function countKeys(
  folder: string,
  prefix: Deno.KvKey,
): Promise<number> {
  let count = 0;
  await withDatabase(folder, async (kv) => {
    for await (const _ of kv.list({ prefix })) count++;
  });
  return count;
}
