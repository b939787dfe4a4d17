/**
 * A store's place on disk: the folder with its lock, the handles on the
 * database, and who may read them.
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";
import { checkIsOurs, unusedBytes } from "./database_check.ts";
import { freeBytes } from "./free_bytes.ts";
import { toStoreError } from "./kv_errors.ts";
import { Reserve } from "./reserve.ts";

/** What the files beside the database take at least. */
const OPENING_BYTES = 128 * 1024;

/** How a database is opened: `Deno.openKv`, or a stand-in of a test. */
export type KvOpener = (path: string) => Promise<Deno.Kv>;

/** An opened place. */
export interface StorePlace {
  /** The folder, or `null` for memory and a remote database. */
  readonly folder: string | null;
  /** Tells its file from a copy of it; `null` where nothing does. */
  readonly fileId: string | null;
  /** Commits go here. */
  readonly writer: Deno.Kv;
  /** Reads go here: on the writer's handle they would hold up commits. */
  readonly reader: Deno.Kv;
  /** What the database's file had free at the opening. */
  readonly unusedBytes: number;
  /** Closes the handles and lets the lock go. */
  close(): void;
}

/**
 * Opens a database: a folder (made if missing), `:memory:`, or the URL of a KV
 * Connect service.
 *
 * @throws {MomError} `data_in_use`, `store_unavailable`, `data_damaged`, `storage_full`.
 */
export async function openPlace(
  data: string,
  role: string,
  opener: KvOpener = openKv,
): Promise<StorePlace> {
  if (data === ":memory:") return await openSingle(data, opener);
  if (/^https?:\/\//.test(data)) return await openSingle(data, opener);
  await makeFolder(data);
  const lock = await takeLock(data, role);
  try {
    return await openFiles(data, lock, opener);
  } catch (error) {
    lock.close();
    throw toStoreError(error, `open store "${data}"`);
  }
}

/** Bytes of the database's files in `folder`. */
export function filesBytes(folder: string): number {
  return databaseBytes(folder) + logBytes(folder);
}

/** Bytes of the database in `folder` without its log. */
export function databaseBytes(folder: string): number {
  return sizeOf(`${folder}/store.kv`);
}

/** The file's number on its disk, which a copy does not share and a rename keeps. */
function fileIdOf(path: string): string | null {
  const { ino } = Deno.statSync(path);
  return ino === null ? null : `${ino}`;
}

/** Bytes of the database's log in `folder`. */
export function logBytes(folder: string): number {
  return sizeOf(`${folder}/store.kv-wal`);
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function openSingle(
  data: string,
  opener: KvOpener,
): Promise<StorePlace> {
  try {
    const kv = await opener(data);
    const close = () => kv.close();
    return {
      folder: null,
      fileId: null,
      writer: kv,
      reader: kv,
      unusedBytes: 0,
      close,
    };
  } catch (error) {
    throw toStoreError(error, `open store "${data}"`);
  }
}

async function openFiles(
  folder: string,
  lock: Deno.FsFile,
  opener: KvOpener,
): Promise<StorePlace> {
  const path = `${folder}/store.kv`;
  await makePrivate(path);
  checkIsOurs(path);
  // What a crash left in the log goes into the file, and the log's room with it.
  if (logBytes(folder) > 0) {
    (await despiteFullDisk(folder, () => opener(path))).close();
  }
  const unused = unusedBytes(path);
  const writer = await despiteFullDisk(folder, () => opener(path));
  try {
    const reader = await despiteFullDisk(folder, () => opener(path));
    const close = () => {
      writer.close();
      reader.close();
      lock.close();
    };
    return {
      folder,
      fileId: fileIdOf(path),
      writer,
      reader,
      unusedBytes: unused,
      close,
    };
  } catch (error) {
    writer.close();
    throw error;
  }
}

/** Does something that opening needs; on a full disk once more without the reserve. */
export async function despiteFullDisk<T>(
  folder: string | null,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (folder === null || !isDiskFull(folder, error)) throw error;
    const hasMade = await new Reserve(folder).giveUp();
    try {
      if (hasMade) return await act();
    } catch (again) {
      if (!isDiskFull(folder, again)) throw again;
    }
    throw new MomError(
      "storage_full",
      `Cannot open store "${folder}": the disk is full`,
      { cause: error },
    );
  }
}

function isDiskFull(folder: string, error: unknown): boolean {
  const { code } = toStoreError(error, "open the store");
  if (code !== "store_unavailable") return code === "storage_full";
  // Where the database makes the files beside it, it says less.
  return freeBytes(folder) < OPENING_BYTES;
}

/** `Deno.openKv`, where it is there. */
export async function openKv(path: string): Promise<Deno.Kv> {
  if (typeof Deno.openKv !== "function") {
    throw new MomError(
      "store_unavailable",
      "Cannot open the store: Deno KV is off, start Deno with --unstable-kv",
    );
  }
  return await Deno.openKv(path);
}

/** Makes a data folder that only its owner can enter. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    if (Deno.build.os !== "windows") await Deno.chmod(folder, 0o700);
  } catch (error) {
    throw toStoreError(error, `make data folder "${folder}"`);
  }
}

/** The database creates its files readable for all: so it finds one that is not. */
async function makePrivate(path: string): Promise<void> {
  const file = await Deno.open(path, {
    write: true,
    create: true,
    mode: 0o600,
  });
  file.close();
  if (Deno.build.os !== "windows") await Deno.chmod(path, 0o600);
}

/**
 * Takes the lock of a data folder; closing the file lets it go.
 *
 * @throws {MomError} `data_in_use`, telling by whom.
 */
export async function takeLock(
  folder: string,
  role: string,
): Promise<Deno.FsFile> {
  const path = `${folder}/lock`;
  const file = await Deno.open(path, {
    read: true,
    write: true,
    create: true,
    mode: 0o600,
  }).catch((error) => {
    throw toStoreError(error, `open lock "${path}"`);
  });
  try {
    if (!await file.tryLock(true)) throw inUse(folder, await holderOf(path));
    await despiteFullDisk(folder, () => nameHolder(file, role));
    return file;
  } catch (error) {
    file.close();
    throw toStoreError(error, `lock "${path}"`);
  }
}

/** In the place of the one before, which needs no more of the disk. */
async function nameHolder(file: Deno.FsFile, role: string): Promise<void> {
  const name = new TextEncoder().encode(`process ${Deno.pid} (${role})\n`);
  await file.seek(0, Deno.SeekMode.Start);
  await file.write(name);
  await file.truncate(name.length);
}

async function holderOf(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).trim() || "another process";
  } catch {
    // Where locks are mandatory the text can't be read.
    return "another process";
  }
}

function inUse(folder: string, holder: string): MomError {
  return new MomError(
    "data_in_use",
    `Cannot open store "${folder}": it is used by ${holder}`,
  );
}
