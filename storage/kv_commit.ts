/**
 * One atomic operation of Deno KV.
 *
 * @module
 */

import { isKvBusy } from "./kv_errors.ts";
import type { Mutation, Root } from "./layout.ts";
import { sealRoot } from "./root.ts";

/**
 * Deno KV itself writes now and then on each of its handles (it looks for
 * expired keys), and a commit that meets this fails without effect. It takes
 * microseconds; this many tries are at least a tenth of a second.
 */
const BUSY_TRIES_MAX = 1000;

/**
 * Commits mutations, in their order.
 *
 * @returns The commit's versionstamp, or `null` when a check did not hold.
 */
export async function commitAtomic(
  kv: Deno.Kv,
  checks: readonly Deno.AtomicCheck[],
  mutations: readonly Mutation[],
): Promise<string | null> {
  for (let tries = 1;; tries++) {
    try {
      return await commitOnce(kv, checks, mutations);
    } catch (error) {
      if (!isKvBusy(error) || tries === BUSY_TRIES_MAX) throw error;
      // A read takes its turn in the database's thread: a pause without a clock.
      await kv.get(checks[0].key);
    }
  }
}

async function commitOnce(
  kv: Deno.Kv,
  checks: readonly Deno.AtomicCheck[],
  mutations: readonly Mutation[],
): Promise<string | null> {
  const atomic = kv.atomic().check(...checks);
  for (const { key, value } of mutations) {
    if (value === null) atomic.delete(key as Deno.KvKey);
    else atomic.set(key as Deno.KvKey, toStored(value));
  }
  const result = await atomic.commit();
  return result.ok ? result.versionstamp : null;
}

/** Journal values and the like bring their seal along; the root gets its own here. */
function toStored(value: Uint8Array | Root): unknown {
  return value instanceof Uint8Array ? value : sealRoot(value);
}
