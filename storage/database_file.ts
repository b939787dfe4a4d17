/**
 * A database as a file: copied while another process writes to it, checked,
 * made one file that is on disk. SQLite itself (`node:sqlite`) does that; it must
 * never touch a file that this process has open as a store, whose locks would
 * be lost.
 *
 * @module
 */

import { dirname } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import { MomError } from "../protocol/errors.ts";
import { toStoreError } from "./kv_errors.ts";

/** How long to wait for whoever is writing, ms. */
const BUSY_MS = 10_000;
/**
 * All pages in one step: it reads one snapshot, while the writer goes on. In
 * several steps each commit between two of them would make it begin anew.
 */
const ALL_PAGES = 0x7fff_ffff;
/** What a database leaves beside its file. */
export const SIDE_FILES = ["-wal", "-shm"] as const;

/**
 * Copies a database as of its last commit to a file that is there and empty;
 * others may write to it meanwhile.
 *
 * @throws {MomError} What the failure means.
 */
export async function copyDatabase(from: string, to: string): Promise<void> {
  await translate(`copy "${from}"`, async () => {
    const source = new DatabaseSync(from, { readOnly: true, timeout: BUSY_MS });
    try {
      await backup(source, to, { rate: ALL_PAGES });
    } finally {
      source.close();
    }
  });
}

/**
 * Checks a database's pages, and brings all of it into its one file and that to
 * disk.
 *
 * @throws {MomError} `data_damaged`.
 */
export async function settleDatabase(path: string): Promise<void> {
  await translate(`settle "${path}"`, () => {
    const database = new DatabaseSync(path, { timeout: BUSY_MS });
    try {
      checkPages(database, path);
      database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      database.exec("PRAGMA journal_mode=DELETE");
    } finally {
      database.close();
    }
  });
  await removeSideFiles(path);
  await syncFile(path);
}

/** Removes what lies beside a settled database. */
export async function removeSideFiles(path: string): Promise<void> {
  for (const side of SIDE_FILES) await removeIfThere(path + side);
}

/** Removes a file that may not be there. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Renames a file, replacing what has that name, for good. */
export async function renameForGood(from: string, to: string): Promise<void> {
  await Deno.rename(from, to);
  // A folder can't be opened there.
  if (Deno.build.os !== "windows") await syncFile(dirname(to), false);
}

/** Waits until a file, or a folder's list of names, is on disk. */
async function syncFile(path: string, write = true): Promise<void> {
  using file = await Deno.open(path, { read: true, write });
  await file.sync();
}

function checkPages(database: DatabaseSync, path: string): void {
  const row = database.prepare("PRAGMA quick_check(1)").get();
  const result = Object.values(row ?? {})[0];
  if (result === "ok") return;
  throw new MomError(
    "data_damaged",
    `Cannot use database "${path}": ${result}`,
  );
}

async function translate(
  action: string,
  work: () => void | Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw toStoreError(error, action);
  }
}
