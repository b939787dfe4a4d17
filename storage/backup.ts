/**
 * A consistent copy of a store, made beside the program that has it open. To be
 * run in a process of its own (see `database_file.ts`).
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import { MomError } from "../protocol/errors.ts";
import {
  copyDatabase,
  removeIfThere,
  removeSideFiles,
  renameForGood,
  settleDatabase,
} from "./database_file.ts";
import { verifyDatabase } from "./inspect.ts";

/** What to copy where. */
export interface BackupOptions {
  /** The store's folder. */
  readonly data: string;
  /** Which program's it is. */
  readonly role: "broker" | "daemon";
  /** The file to make. */
  readonly file: string;
  /** Replaces a file that is there. @default {false} */
  readonly force?: boolean;
}

/** What the copy has. */
export interface BackupReport {
  /** Its path. */
  readonly file: string;
  /** Its size in bytes. */
  readonly bytes: number;
  /** The store's id, in hex. */
  readonly storeId: string;
  /** The number of the store's epoch. */
  readonly epoch: number;
  /** The number of the last commit that it holds. */
  readonly position: number;
  /** How many messages it holds. */
  readonly messages: number;
  /** How many values have a wrong checksum, as in the store itself; 0 is well. */
  readonly damaged: number;
}

/**
 * Copies a store as of its last commit and looks the copy through before it
 * gets its name.
 *
 * @throws {MomError} `option_invalid` if the file is there or the folder holds no
 *   store; `data_damaged`, `data_version`, `storage_full`, `store_unavailable`.
 */
export async function backupStore(
  options: BackupOptions,
): Promise<BackupReport> {
  const { data, role, force = false } = options;
  const file = resolve(options.file);
  const source = await sourceOf(data);
  await checkTarget(file, data, force);
  const part = `${file}.part-${Deno.pid}`;
  try {
    await makeEmpty(part);
    await copyDatabase(source, part);
    const found = await verifyDatabase({ path: part, name: data, role });
    await settleDatabase(part);
    await renameForGood(part, file);
    const { root, position, messages, damaged } = found;
    const { size } = await Deno.stat(file);
    return {
      file,
      bytes: size,
      storeId: root.id.toHex(),
      epoch: root.epoch,
      position,
      messages,
      damaged,
    };
  } finally {
    await removeIfThere(part);
    await removeSideFiles(part);
  }
}

/**
 * The path of the database of a data folder.
 *
 * @throws {MomError} `unsupported` for what is no folder, `option_invalid` where
 *   there is no store.
 */
export async function sourceOf(data: string): Promise<string> {
  if (data === ":memory:" || /^https?:/.test(data)) {
    throw new MomError(
      "unsupported",
      `Cannot use store "${data}" from outside: it is in no folder`,
    );
  }
  const path = `${data}/store.kv`;
  if (await isThere(path)) return path;
  throw new MomError(
    "option_invalid",
    `Cannot find a store in "${data}": no broker or daemon has run there`,
  );
}

async function checkTarget(
  file: string,
  data: string,
  force: boolean,
): Promise<void> {
  const isOwn = dirname(file) === resolve(data) &&
    /^(store\.kv|lock$|reserve$)/.test(basename(file));
  if (isOwn) {
    throw new MomError(
      "option_invalid",
      `Cannot back up to "${file}": that is the store itself`,
    );
  }
  if (force || !await isThere(file)) return;
  throw new MomError(
    "option_invalid",
    `Cannot back up to "${file}": it is there already (--force replaces it)`,
  );
}

async function makeEmpty(path: string): Promise<void> {
  try {
    const file = await Deno.open(path, {
      write: true,
      createNew: true,
      mode: 0o600,
    });
    file.close();
  } catch (error) {
    throw new MomError(
      "option_invalid",
      `Cannot back up to "${path}": ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Whether there is something of that name. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
