/**
 * What lies in the database's file, looked at before the database is opened:
 * opening would make its tables in whatever database is there. Nobody else in
 * this process may have the file open, as closing it drops the locks on it.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { MomError } from "../protocol/errors.ts";

const MAGIC = new TextEncoder().encode("SQLite format 3\0");
const HEADER_BYTES = 100;
/** `["r"]` as Deno KV writes keys. */
const ROOT_KEY_BYTES = Uint8Array.of(2, 0x72, 0);

/**
 * Makes sure that a file is empty, or a database of ours.
 *
 * @throws {MomError} `data_damaged` if it is anything else.
 */
export function checkIsOurs(path: string): void {
  const header = readHeader(path);
  if (header.length === 0) return;
  const isDatabase = header.length === HEADER_BYTES &&
    MAGIC.every((byte, i) => header[i] === byte);
  if (!isDatabase) throw foreign(path, "it is no database");
  const reason = withTraces(path, () => findForeign(path));
  if (reason !== null) throw foreign(path, reason);
}

/** Bytes of a database's file that it will use again before it grows. */
export function unusedBytes(path: string): number {
  const header = readHeader(path);
  if (header.length < HEADER_BYTES) return 0;
  const view = new DataView(header.buffer);
  const pageBytes = view.getUint16(16);
  return view.getUint32(36) * (pageBytes === 1 ? 65536 : pageBytes);
}

function readHeader(path: string): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER_BYTES);
  using file = Deno.openSync(path);
  return header.subarray(0, file.readSync(header) ?? 0);
}

/** Why a database is not ours, `null` if nothing speaks against it. */
function findForeign(path: string): string | null {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    const tables = database.prepare("SELECT name FROM sqlite_master").all()
      .map(({ name }) => String(name));
    if (tables.length === 0) return null;
    if (!tables.includes("kv") || !tables.includes("migration_state")) {
      return `it is another program's database (table "${tables[0]}")`;
    }
    if (has(database, "k = ?", ROOT_KEY_BYTES) || !has(database, "true")) {
      return null;
    }
    return "it is another program's Deno KV";
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (/malformed|not a database/.test(text)) return text;
    // What can't be looked at now (a full disk, say) is told by the opening.
    return null;
  } finally {
    database?.close();
  }
}

function has(
  database: DatabaseSync,
  where: string,
  ...values: Uint8Array[]
): boolean {
  const sql = `SELECT 1 FROM kv WHERE ${where} LIMIT 1`;
  return database.prepare(sql).get(...values) !== undefined;
}

/** Looks, and leaves no file behind that was not there. */
function withTraces<T>(path: string, look: () => T): T {
  const beside = [`${path}-wal`, `${path}-shm`];
  const before = beside.filter(isThere);
  try {
    return look();
  } finally {
    for (const file of beside) {
      if (!before.includes(file) && isThere(file)) Deno.removeSync(file);
    }
  }
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    // Not there, or not to be seen.
    return false;
  }
}

function foreign(path: string, reason: string): MomError {
  return new MomError("data_damaged", `Cannot use "${path}": ${reason}`);
}
