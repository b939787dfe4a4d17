/**
 * Opening a database: who it belongs to, and the state after its last commit,
 * from the pages and the change lists behind them. Messages are not read.
 *
 * @module
 */

import type { Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import {
  type ChangeList,
  decodeChangeList,
  readChangeListPart,
} from "./change_list.ts";
import { firstEpoch, laterEpoch } from "./epochs.ts";
import { despiteFullDisk, type StorePlace } from "./folder.ts";
import { commitAtomic } from "./kv_commit.ts";
import { isDamage, toReadError } from "./kv_errors.ts";
import { KvReader } from "./kv_reader.ts";
import {
  changesKey,
  FORMAT_VERSION,
  type Mutation,
  OWNER_KEY,
  pageKey,
  pageKeys,
  RING_SLOTS,
  type Root,
  ROOT_KEY,
} from "./layout.ts";
import {
  extraParts,
  mergePage,
  pageDamaged,
  readPage,
  readPageHead,
} from "./pages.ts";
import { isSealedRoot } from "./root.ts";
import { isIntact } from "./sealed_value.ts";

/** Table → key → entry. */
export type Tables = Map<number, Map<number, Uint8Array>>;

/** What was found. */
export interface Opened {
  /** The root. */
  readonly root: Root;
  /** Of the owner entry, which is ours now. */
  readonly versionstamp: string;
  /** The small state after the last commit. */
  readonly tables: Tables;
  /** Lists that are not folded, in order. */
  readonly lists: readonly ChangeList[];
}

/** Who opens. */
export interface OpenerOptions {
  /** What was asked for, for errors. */
  readonly data: string;
  /** The program. */
  readonly role: string;
  /** For identity. */
  readonly entropy: Entropy;
}

const SLOTS_PER_READ = 10;
const PAGES_PER_READ = 100;

/**
 * Reads the database's state and takes it over. All is read before anything is
 * written, so that damaged data stays as it is.
 *
 * @throws {MomError} `data_version`, `data_damaged`, `option_invalid` for
 *   another program's data, or what the database's failure means.
 */
export async function readStore(
  place: StorePlace,
  options: OpenerOptions,
): Promise<Opened> {
  const { writer, folder, fileId } = place;
  const found = await getRoot(writer, options);
  const known = found.value === null ? null : checkRoot(found.value, options);
  const root = placed(known ?? newRoot(options), fileId, options);
  const { tables, lists } = await readFolded(writer, root, options.data);
  const versionstamp = await despiteFullDisk(
    folder,
    () => takeOver(writer, found, root === known ? null : root, options),
  );
  // Whoever was the owner may have gone on until then (without a lock on files).
  const last = lists.at(-1)?.position ?? root.foldedPosition;
  lists.push(...await readLists(new KvReader(writer), last));
  mergeLists(tables, lists);
  return { root, versionstamp, tables, lists };
}

/**
 * The root of a database, without becoming its owner.
 *
 * @throws {MomError} As {@link readStore}.
 */
export async function readRoot(
  kv: Deno.Kv,
  options: Omit<OpenerOptions, "entropy">,
): Promise<Root> {
  return checkRoot((await getRoot(kv, options)).value, options);
}

/**
 * The small state after the last commit.
 *
 * @throws {MomError} `data_damaged`.
 */
export async function readState(
  kv: Deno.Kv,
  root: Root,
  data: string,
): Promise<Pick<Opened, "tables" | "lists">> {
  const { tables, lists } = await readFolded(kv, root, data);
  mergeLists(tables, lists);
  return { tables, lists };
}

/** The entries of a table; gives them away, the second call gives none. */
export function takeTable(
  tables: Tables,
  table: number,
): Map<number, Uint8Array> {
  const entries = tables.get(table);
  tables.delete(table);
  return entries ?? new Map();
}

async function readFolded(
  kv: Deno.Kv,
  root: Root,
  data: string,
): Promise<{ tables: Tables; lists: ChangeList[] }> {
  const tables = await readPages(kv).catch((error) => {
    throw toReadError(error, `open store "${data}"`);
  });
  const lists = await readLists(new KvReader(kv), root.foldedPosition);
  return { tables, lists };
}

function mergeLists(tables: Tables, lists: readonly ChangeList[]): void {
  for (const list of lists) {
    for (const [table, changes] of list.changes.tables) {
      const entries = tables.get(table) ?? new Map<number, Uint8Array>();
      tables.set(table, entries);
      mergePage(entries, changes);
    }
  }
}

async function getRoot(
  kv: Deno.Kv,
  options: Omit<OpenerOptions, "entropy">,
): Promise<Deno.KvEntryMaybe<unknown>> {
  try {
    return await kv.get<unknown>(ROOT_KEY as unknown as Deno.KvKey);
  } catch (error) {
    // It is no sealed value: what it was may not even be readable.
    throw isDamage(error) ? rootDamaged(options, error) : error;
  }
}

/** Makes us the owner, and sets the root if there is a new one; whoever was the owner can't commit any more. */
async function takeOver(
  kv: Deno.Kv,
  found: Deno.KvEntryMaybe<unknown>,
  root: Root | null,
  options: OpenerOptions,
): Promise<string> {
  const mutations: Mutation[] = [
    { key: OWNER_KEY, value: options.entropy.bytes(16) },
  ];
  if (root !== null) mutations.push({ key: ROOT_KEY, value: root });
  const versionstamp = await commitAtomic(kv, [found], mutations);
  if (versionstamp !== null) return versionstamp;
  throw new MomError(
    "data_in_use",
    `Cannot open store "${options.data}": another process is writing to it`,
  );
}

function newRoot(options: OpenerOptions): Root {
  return {
    format: FORMAT_VERSION,
    id: options.entropy.bytes(16),
    epoch: firstEpoch(options.entropy),
    role: options.role,
    foldedPosition: 0,
    counters: { time: 0, nextLog: 1, nextSeq: 1, nextBlob: 1 },
  };
}

/**
 * The root as of this opening. In another file than the last time it is a copy:
 * the original may have gone on, so what comes now must not look like its own.
 */
function placed(
  root: Root,
  fileId: string | null,
  { entropy }: OpenerOptions,
): Root {
  if (fileId === null || root.file === fileId) return root;
  if (root.file === undefined) return { ...root, file: fileId };
  return { ...root, epoch: laterEpoch([root.epoch], entropy), file: fileId };
}

function checkRoot(
  value: unknown,
  options: Omit<OpenerOptions, "entropy">,
): Root {
  const root = value as Partial<Root> | null;
  // A newer version may have other fields, but has its format here.
  const format = typeof root === "object" ? root?.format : undefined;
  if (Number.isSafeInteger(format) && format !== FORMAT_VERSION) {
    throw new MomError(
      "data_version",
      `Cannot open store "${options.data}": its format is ${format}, this version reads ${FORMAT_VERSION}`,
    );
  }
  if (!isSealedRoot(value)) throw rootDamaged(options);
  if (value.role !== options.role) {
    throw new MomError(
      "option_invalid",
      `Cannot open store "${options.data}": it belongs to a ${value.role}, not to a ${options.role}`,
    );
  }
  return value;
}

function rootDamaged(
  options: Omit<OpenerOptions, "entropy">,
  cause?: unknown,
): MomError {
  return new MomError(
    "data_damaged",
    `Cannot open store "${options.data}": its root entry is damaged`,
    { cause },
  );
}

/** All pages of all tables. */
async function readPages(kv: Deno.Kv): Promise<Tables> {
  const tables: Tables = new Map();
  let key = "";
  let parts = new Map<number, unknown>();
  let table = 0;
  let page = 0;
  const finish = () => {
    if (parts.size > 0) addPage(tables, table, page, parts);
  };
  const all = kv.list({ prefix: ["p"] }, { batchSize: PAGES_PER_READ });
  for await (const entry of all) {
    const [, t, p, part] = entry.key as [string, number, number, number];
    if (key !== `${t}/${p}`) {
      finish();
      key = `${t}/${p}`;
      parts = new Map();
      table = t;
      page = p;
    }
    parts.set(part, entry.value);
  }
  finish();
  return tables;
}

function addPage(
  tables: Tables,
  table: number,
  page: number,
  parts: ReadonlyMap<number, unknown>,
): void {
  const id = { table, page };
  // Also what no head names: it may be one that has lost its place.
  for (const [part, value] of parts) {
    if (!isIntact(value, pageKey(table, page, part))) {
      throw pageDamaged(id, part);
    }
  }
  // Extra parts without a first one are left over from a page that never came to be.
  const head = readPageHead(id, parts.get(0));
  if (head === null) return;
  const extras = extraParts(head).map((part) => parts.get(part));
  const entries = tables.get(table) ?? new Map<number, Uint8Array>();
  tables.set(table, entries);
  for (const [key, value] of readPage(id, head, extras)) {
    // A page that lies where another one should.
    if (Math.floor(key / pageKeys(table)) !== page) throw pageDamaged(id, 0);
    entries.set(key, value);
  }
}

/** The lists of the positions behind `folded`, up to the last commit. */
async function readLists(
  reader: KvReader,
  folded: number,
): Promise<ChangeList[]> {
  const lists: ChangeList[] = [];
  for (let n = 1; n <= RING_SLOTS; n += SLOTS_PER_READ) {
    const positions = Array.from(
      { length: Math.min(SLOTS_PER_READ, RING_SLOTS - n + 1) },
      (_, i) => folded + n + i,
    );
    const keys = positions.map((position) => changesKey(position, 0));
    const values = await reader.getMany(keys);
    for (const [i, value] of values.entries()) {
      const list = await readList(reader, positions[i], value);
      if (list === null) {
        // Nothing may come behind the end, or a list is missing.
        for (let at = i; at < values.length; at++) {
          checkOlder(values[at], positions[i], keys[at]);
        }
        return lists;
      }
      lists.push(list);
    }
  }
  return lists;
}

/** The list of `position`, or `null` if the slot still has an older one or none. */
async function readList(
  reader: KvReader,
  position: number,
  head: unknown,
): Promise<ChangeList | null> {
  if (head === null) return null;
  if (!isIntact(head, changesKey(position, 0))) throw damaged(position);
  const first = readChangeListPart(head, 0);
  if (first.position !== position) return null;
  const keys = Array.from(
    { length: first.parts - 1 },
    (_, n) => changesKey(position, n + 1),
  );
  const pieces = [first.content];
  for (const [n, value] of (await reader.getMany(keys)).entries()) {
    if (!isIntact(value, keys[n])) throw damaged(position);
    const part = readChangeListPart(value, n + 1);
    if (part.position !== position) throw damaged(position);
    pieces.push(part.content);
  }
  try {
    return decodeChangeList(join(pieces));
  } catch (error) {
    throw damaged(position, error);
  }
}

function checkOlder(
  head: unknown,
  position: number,
  key: readonly (string | number)[],
): void {
  if (head === null) return;
  if (!isIntact(head, key)) throw damaged(position);
  if (readChangeListPart(head, 0).position >= position) throw damaged(position);
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  const bytes = new Uint8Array(pieces.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function damaged(position: number, cause?: unknown): MomError {
  return new MomError(
    "data_damaged",
    `Cannot open the store: the changes of position ${position} are damaged`,
    { cause },
  );
}
