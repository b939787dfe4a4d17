/**
 * Looks through a database that nobody has open: whose it is, what it holds,
 * and whether every value is as it was written.
 *
 * @module
 */

import { systemClock } from "../protocol/clock.ts";
import { openKv } from "./folder.ts";
import { toStoreError } from "./kv_errors.ts";
import type { Root } from "./layout.ts";
import { Ledger } from "./ledger.ts";
import { readRoot, readState } from "./opening.ts";
import { isIntact } from "./sealed_value.ts";
import { ValueCache } from "./value_cache.ts";

/** Values read at a time while they are checked. */
const VALUES_PER_READ = 16;
/** Kinds of keys whose values are sealed. */
const SEALED_KINDS = ["j", "c", "p", "b"] as const;

/** What a database holds. */
export interface StoreContents {
  /** Its root. */
  readonly root: Root;
  /** The last commit. */
  readonly position: number;
  /** Messages in its logs. */
  readonly messages: number;
  /** Log → the offset behind its last message. */
  readonly ends: ReadonlyMap<number, number>;
}

/** How a database is looked at. */
export interface InspectOptions {
  /** Path of its file. */
  readonly path: string;
  /** What it is called in errors. */
  readonly name: string;
  /** Which program's it must be. */
  readonly role: "broker" | "daemon";
}

/**
 * What a database file holds.
 *
 * @throws {MomError} `data_damaged`, `data_version`, `option_invalid` for another
 *   program's, `store_unavailable`.
 */
export async function inspectDatabase(
  options: InspectOptions,
): Promise<StoreContents> {
  return await withKv(options, (kv) => readContents(kv, options));
}

/**
 * As {@linkcode inspectDatabase}, and checks every value.
 *
 * @returns What it holds, and how many values are damaged.
 */
export async function verifyDatabase(
  options: InspectOptions,
): Promise<StoreContents & { readonly damaged: number }> {
  return await withKv(options, async (kv) => {
    const contents = await readContents(kv, options);
    return { ...contents, damaged: await countDamaged(kv) };
  });
}

/** Opens a database file that nobody else has open. */
export async function withKv<T>(
  { path, name }: { path: string; name: string },
  work: (kv: Deno.Kv) => Promise<T>,
): Promise<T> {
  let kv: Deno.Kv | null = null;
  try {
    kv = await openKv(path);
    return await work(kv);
  } catch (error) {
    throw toStoreError(error, `read "${name}"`);
  } finally {
    kv?.close();
  }
}

async function readContents(
  kv: Deno.Kv,
  { name, role }: InspectOptions,
): Promise<StoreContents> {
  const root = await readRoot(kv, { data: name, role });
  const { tables, lists } = await readState(kv, root, name);
  const last = lists[lists.length - 1];
  const { directory, position } = new Ledger({
    position: last?.position ?? root.foldedPosition,
    counters: last?.counters ?? root.counters,
    take: (table) => tables.get(table) ?? new Map(),
  }, {
    clock: systemClock,
    cache: new ValueCache(0),
    onSeal: () => null,
    onGroup: () => {},
  });
  const ends = new Map<number, number>();
  let messages = 0;
  for (const log of directory.logs()) {
    const { begin, end } = directory.log(log)!;
    ends.set(log, end);
    messages += end - begin;
  }
  return { root, position, messages, ends };
}

async function countDamaged(kv: Deno.Kv): Promise<number> {
  let damaged = 0;
  for (const kind of SEALED_KINDS) {
    const all = kv.list({ prefix: [kind] }, { batchSize: VALUES_PER_READ });
    for await (const { key, value } of all) {
      if (!isIntact(value, key as (string | number)[])) damaged++;
    }
  }
  return damaged;
}
