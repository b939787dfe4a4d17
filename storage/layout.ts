/**
 * Where what lies in the key-value store. Keys are short and made of numbers;
 * every value but the owner's and the root's is sealed with a CRC.
 *
 * ```text
 * ["o"]                      who may write (replaced by the opener)
 * ["r"]                      root: format, identity, how far changes are folded
 * ["j", seq]                 journal value: items of all logs, in order
 * ["c", slot, part]          change list of position p, slot = p mod RING_SLOTS
 * ["p", table, page, part]   folded entries of PAGE_KEYS consecutive keys
 * ["b", blob, part]          part of a large record
 * ```
 *
 * @module
 */

/** A part of a commit: a value to set, or `null` to delete. */
export interface Mutation {
  /** Where. */
  readonly key: readonly (string | number)[];
  /** What, or `null`. */
  readonly value: Uint8Array | Root | null;
}

/** The store's root entry. */
export interface Root {
  /** {@link FORMAT_VERSION} of the writer. */
  readonly format: number;
  /** 16 random bytes, for the life of the store. */
  readonly id: Uint8Array;
  /** Random, changed by what makes offsets come again. */
  readonly epoch: number;
  /** The file that it was opened in last; a copy of it is an epoch of its own. */
  readonly file?: string;
  /** Which program it belongs to. */
  readonly role: string;
  /** Changes up to this position are in the pages. */
  readonly foldedPosition: number;
  /** The counters as of that position. */
  readonly counters: Counters;
}

/** Numbers that only grow; in every change list and in the root. */
export interface Counters {
  /** Time of the last commit, ms. */
  time: number;
  /** The next log's number. */
  nextLog: number;
  /** The next journal value's number. */
  nextSeq: number;
  /** The next blob's number. */
  nextBlob: number;
}

/** The format that this code writes, and the newest that it reads. */
export const FORMAT_VERSION = 1;

/** Deno KV takes values up to 64 KiB; we stay clear of it. */
export const VALUE_BYTES_MAX = 60 * 1024;
/** Items of a commit, in bytes, that `makeRoom` allows. */
export const GROUP_BYTES_MAX = 600 * 1024;
/** Items of a commit, in bytes, beyond which an append goes into the next one unasked. */
export const GROUP_BYTES_HARD_MAX = 640 * 1024;
/** All of a commit, keys included; Deno KV's own limit is 800 KiB. */
export const COMMIT_BYTES_MAX = 780 * 1024;
/** A mutation's key and bookkeeping, in bytes, at most. */
export const MUTATION_BYTES = 64;
/** Largest item: `meta` and `body` together. What is larger is staged. */
export const ITEM_BYTES_MAX = 56 * 1024;
/** A journal value shorter than this goes on growing in the next commit. */
export const TAIL_BYTES_MAX = 8 * 1024;
/** How many change lists there can be before they are overwritten. */
export const RING_SLOTS = 1024;

/** The owner's tables are 1 … 31, the store's own come behind. */
export const TABLE = {
  /** Log number → where it begins. */
  logs: 32,
  /** Journal value → which ranges of which logs it holds. */
  directory: 33,
  /** Blob → its size and whose it is. */
  blobs: 34,
} as const;

/** Last table of the owner. */
export const OWNER_TABLE_MAX = 31;

/** How many keys of a table share a page. */
export function pageKeys(table: number): number {
  // Entries of the directory may have kilobytes, and come and go in order.
  return table === TABLE.directory ? 16 : 256;
}

/** The key of the owner entry. */
export const OWNER_KEY = ["o"] as const;
/** The key of the root. */
export const ROOT_KEY = ["r"] as const;

/** The key of a journal value. */
export function journalKey(seq: number): (string | number)[] {
  return ["j", seq];
}

/** The key of a change list's part. */
export function changesKey(
  position: number,
  part: number,
): (string | number)[] {
  return ["c", position % RING_SLOTS, part];
}

/** The key of a page's part. */
export function pageKey(
  table: number,
  page: number,
  part: number,
): (string | number)[] {
  return ["p", table, page, part];
}

/** The key of a blob's part. */
export function blobKey(blob: number, part: number): (string | number)[] {
  return ["b", blob, part];
}
