/**
 * Data folders that a program must refuse without harming what is in them.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { Store } from "../../storage/store.ts";

/** Makes a folder `path` with something in it. */
export type MakePlace = (path: string) => Promise<void>;

/** A store as one of our programs leaves it behind. */
export function storeOf(role: "broker" | "daemon"): MakePlace {
  return async (path) => {
    const store = await Store.open({
      data: path,
      role,
      clock: systemClock,
      entropy: systemEntropy,
      limits: { reserveBytes: 0 },
      onFailed: (error) => {
        throw error;
      },
      onSeal: () => null,
    });
    for (let i = 0; i < 4; i++) {
      store.put(31, i, new Uint8Array(100));
      await store.committed();
    }
    await store.close();
  };
}

/** Makes a store of a broker, then changes an entry of its database. */
export function changedStore<T>(
  key: Deno.KvKey,
  change: (value: T) => T,
): MakePlace {
  return async (path) => {
    await storeOf("broker")(path);
    const kv = await Deno.openKv(`${path}/store.kv`);
    const { value } = await kv.get<T>(key);
    if (value === null) throw new Error(`Nothing at ${key}`);
    await kv.set(key, change(value));
    kv.close();
  };
}

/** A store's file that is no database. */
export async function textFile(path: string): Promise<void> {
  await Deno.mkdir(path);
  await Deno.writeTextFile(`${path}/store.kv`, "dear diary\n".repeat(2000));
}

/** A database of another program, in SQLite's log mode too. */
export async function foreignDatabase(path: string): Promise<void> {
  await Deno.mkdir(path);
  const database = new DatabaseSync(`${path}/store.kv`);
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("CREATE TABLE diary (day TEXT, text TEXT)");
  database.exec("INSERT INTO diary VALUES ('monday', 'rain')");
  database.close();
}

/** A Deno KV of another program. */
export async function foreignKv(path: string): Promise<void> {
  await Deno.mkdir(path);
  const kv = await Deno.openKv(`${path}/store.kv`);
  await kv.set(["diary", "monday"], "rain");
  kv.close();
}

/** A store whose file was cut in half. */
export async function halfFile(path: string): Promise<void> {
  await storeOf("broker")(path);
  const { size } = await Deno.stat(`${path}/store.kv`);
  await Deno.truncate(`${path}/store.kv`, Math.floor(size / 2));
}

/** What lies in a folder (or a file): a checksum for each file but the lock. */
export async function contentOf(path: string): Promise<Map<string, number>> {
  const content = new Map<string, number>();
  if ((await Deno.stat(path)).isFile) {
    return content.set("", crc32(await Deno.readFile(path)));
  }
  for await (const { name, isFile } of Deno.readDir(path)) {
    if (!isFile || name === "lock") continue;
    content.set(name, crc32(await Deno.readFile(`${path}/${name}`)));
  }
  return content;
}
