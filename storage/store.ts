/**
 * The store that broker and daemon stand on: logs of opaque items, tables of
 * small opaque entries, one committer. It knows no network and no meaning.
 *
 * State in memory runs ahead of the disk. Whatever tells the outside about it
 * must wait: for the callback that `onSeal` returned, or for
 * {@link Store.committed}.
 *
 * @module
 */

import type { Clock } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import {
  blobDamaged,
  blobPartCount,
  blobParts,
  readBlobParts,
  type StagedBlob,
} from "./blobs.ts";
import { Committer } from "./committer.ts";
import { filesBytes, openPlace, type StorePlace } from "./folder.ts";
import { Fold } from "./fold.ts";
import type { ReadResult } from "./item.ts";
import { toStoreError } from "./kv_errors.ts";
import { KvReader } from "./kv_reader.ts";
import { OWNER_TABLE_MAX } from "./layout.ts";
import { blobCacheKey, Ledger } from "./ledger.ts";
import { LogReader, type Want } from "./log_reader.ts";
import { type Opened, readStore, type Tables } from "./opening.ts";
import { Space } from "./space.ts";
import type { StoreOptions, TrimTargetOptions } from "./store_options.ts";
import type { Timeline } from "./timeline.ts";
import { ValueCache } from "./value_cache.ts";

export type { StagedBlob } from "./blobs.ts";
export type { KvOpener } from "./folder.ts";
export type { DamagedRange, Item, ReadResult } from "./item.ts";
export { ITEM_BYTES_MAX } from "./layout.ts";
export type { Want } from "./log_reader.ts";
export type {
  StoreLimits,
  StoreOptions,
  TrimTargetOptions,
} from "./store_options.ts";

const MIB = 1024 * 1024;
const FILES_BYTES_EVERY_MS = 250;

/**
 * An open store.
 *
 * @example Append, commit, read
 * ```ts
 * import { Store } from "./store.ts";
 * import { systemClock, systemEntropy } from "../protocol/clock.ts";
 *
 * const store = await Store.open({
 *   data: ":memory:",
 *   role: "broker",
 *   clock: systemClock,
 *   entropy: systemEntropy,
 *   onFailed: (error) => { throw error; },
 *   onSeal: () => null,
 * });
 * const log = store.createLog();
 * store.append(log, 1, new Uint8Array(0), new TextEncoder().encode("hello"));
 * await store.committed();
 * const [item] = await store.readInOrder([{ log, next: 0 }], 1000);
 * if ("damaged" in item || item.body.length !== 5) throw new Error("not read");
 * await store.close();
 * ```
 */
export class Store {
  /** 16 random bytes, for the life of the store. */
  readonly id: Uint8Array;
  /** Random, 1 … 2^32 - 1; another one after a restore or a purge. */
  readonly epoch: number;
  /** Whether it ends with the process. */
  readonly isMemory: boolean;

  readonly #options: StoreOptions;
  /** What time it goes by. */
  readonly clock: Clock;
  readonly #place: StorePlace;
  readonly #space: Space | null;
  readonly #tables: Tables;
  readonly #cache: ValueCache;
  readonly #ledger: Ledger;
  readonly #reader: KvReader;
  readonly #logReader: LogReader;
  readonly #fold: Fold;
  readonly #committer: Committer;
  /** Bytes of bodies that are being staged. */
  #stagingBytes = 0;
  /** Whether the owner asked for a commit: before, it may still be loading. */
  #isStarted = false;
  #isClosed = false;
  #closing: Promise<void> | null = null;
  #filesBytes = 0;
  #filesBytesMs = -Infinity;

  private constructor(
    options: StoreOptions,
    place: StorePlace,
    opened: Opened,
  ) {
    const { root, lists, tables } = opened;
    this.#options = options;
    this.clock = options.clock;
    this.#place = place;
    this.#tables = tables;
    this.id = root.id;
    this.epoch = root.epoch;
    this.isMemory = options.data === ":memory:";
    this.#cache = new ValueCache(options.limits?.cacheBytes ?? 32 * MIB);
    this.#ledger = this.#newLedger(opened);
    this.#reader = new KvReader(place.reader);
    this.#logReader = new LogReader({
      directory: this.#ledger.directory,
      journal: this.#ledger.journal,
      cache: this.#cache,
      reader: this.#reader,
      position: () => this.#ledger.position,
    });
    this.#fold = new Fold(
      this.#reader,
      root,
      () => this.#committer.wake(),
      (error) => this.#committer.fail(toStoreError(error, "fold")),
    );
    this.#committer = this.#newCommitter(opened.versionstamp);
    this.#space = place.folder === null ? null : this.#newSpace(place.folder);
    for (const list of lists) this.#fold.add(list);
  }

  /**
   * Opens a store, or makes a new one.
   *
   * @throws {MomError} `data_in_use` (another process has the folder),
   *   `data_version` (written by a newer version), `data_damaged`,
   *   `option_invalid` (another role's data), `storage_full`, `store_unavailable`.
   */
  static async open(options: StoreOptions): Promise<Store> {
    const { data, role } = options;
    const place = await openPlace(data, role, options.openKv);
    try {
      const opened = await readStore(place, options);
      return new Store(options, place, opened);
    } catch (error) {
      place.close();
      throw toStoreError(error, `open store "${data}"`);
    }
  }

  // ---- where it is

  /** The last commit that is on disk. */
  get position(): number {
    return this.#ledger.position;
  }

  /** The commit that will hold what is put or appended now. */
  get openPosition(): number {
    return this.#ledger.openPosition;
  }

  /** The time that what is appended now will have, ms; never falls. */
  get openTime(): number {
    return this.#ledger.openTime;
  }

  /** What time it is. */
  get timeline(): Timeline {
    return this.#ledger.timeline;
  }

  /** Bytes that are not yet on disk, about; for back-pressure. */
  get dirtyBytes(): number {
    return this.#ledger.dirtyBytes + this.#stagingBytes;
  }

  /** Bytes of stored messages, dead ones that still wait for their deletion included. */
  get liveBytes(): number {
    const { directory, blobs } = this.#ledger;
    return directory.bytes + blobs.bytes;
  }

  /** Size of the files, at most 250 ms old; they never shrink. Without files as {@link liveBytes}. */
  bytesOnDisk(): number {
    const folder = this.#place.folder;
    if (folder === null) return this.liveBytes;
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.#filesBytesMs >= FILES_BYTES_EVERY_MS) {
      this.#filesBytesMs = nowMs;
      this.#filesBytes = filesBytes(folder);
    }
    return this.#filesBytes;
  }

  /** Whether there is room for `bytes` of messages. All else may go on when not. */
  canAppend(bytes = 0): boolean {
    return this.#committer.failure === null &&
      (this.#space?.hasRoom(bytes) ?? true);
  }

  // ---- tables

  /** The entries of an owner's table as of opening; gives them away, the second call gives none. */
  takeEntries(table: number): Map<number, Uint8Array> {
    checkTable(table);
    return this.#take(table);
  }

  /**
   * Sets an entry; the last one of a group counts.
   *
   * @param table 1 … 31.
   * @param key A safe integer, 0 or above.
   * @param value Belongs to the store from then on: do not change it.
   */
  put(table: number, key: number, value: Uint8Array): void {
    this.#change(table, key, value);
  }

  /** Removes an entry. */
  delete(table: number, key: number): void {
    this.#change(table, key, null);
  }

  // ---- logs

  /** Makes a log. Its number is never used again. */
  createLog(): number {
    this.#assertWritable();
    return this.#ledger.createLog();
  }

  /** Whether there is such a log. */
  hasLog(log: number): boolean {
    return this.#ledger.directory.log(log) !== undefined;
  }

  /** Ends a log and all it holds. */
  dropLog(log: number): void {
    this.#assertWritable();
    this.#ledger.dropLog(log);
  }

  /** The numbers of all logs. */
  logs(): Iterable<number> {
    return this.#ledger.directory.logs();
  }

  /** Offsets below are gone. */
  begin(log: number): number {
    return this.#ledger.log(log).begin;
  }

  /** The next offset, counting what is not yet on disk. */
  end(log: number): number {
    return this.#ledger.log(log).end;
  }

  /** The next offset, counting only what is on disk. */
  committedEnd(log: number): number {
    return this.#ledger.log(log).committedEnd;
  }

  /** Bytes of what a log holds, metas and blobs included. What is trimmed counts until its whole range of a journal value is. */
  bytes(log: number): number {
    return this.#ledger.log(log).bytes;
  }

  /** Closes the open group when it can't take `bytes` more, so that what is changed next and the item it belongs to share a commit. */
  makeRoom(bytes: number): void {
    this.#assertWritable();
    this.#ledger.makeRoom(bytes);
  }

  /**
   * Appends an item; copies at once.
   *
   * @param count How many offsets it takes, at least 1.
   * @returns Its first offset.
   * @throws {RangeError} for an unknown log, a bad count, or more than
   *   {@link ITEM_BYTES_MAX} bytes.
   */
  append(
    log: number,
    count: number,
    meta: Uint8Array,
    body: Uint8Array,
  ): number {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new RangeError(`Cannot append to log ${log}: count is ${count}`);
    }
    this.#assertWritable();
    return this.#ledger.append(log, count, meta, body);
  }

  /**
   * Writes a body of any size beside the logs, in commits of its own, while
   * others append.
   *
   * @param body Must not change any more.
   */
  async stage(body: Uint8Array): Promise<StagedBlob> {
    this.#assertWritable();
    const blob = this.#ledger.stage(body.length);
    this.#stagingBytes += body.length;
    try {
      // Known before the first part is there, or opening could not find them.
      await this.committed();
      const count = blobPartCount(body.length);
      let part = 0;
      await this.#committer.commitPieces(() => {
        if (part >= count) return null;
        const parts = blobParts(blob.id, body, part);
        part += parts.length;
        return parts;
      });
    } finally {
      this.#stagingBytes -= body.length;
    }
    this.#cache.set(blobCacheKey(blob.id), body);
    return blob;
  }

  /**
   * Appends an item whose body was staged.
   *
   * @returns Its offset; it takes one.
   */
  appendStaged(log: number, meta: Uint8Array, blob: StagedBlob): number {
    this.#assertWritable();
    return this.#ledger.appendStaged(log, meta, blob);
  }

  /** Gives up what was staged. */
  discardStaged(blob: StagedBlob): void {
    this.#assertWritable();
    this.#ledger.blobs.discard(blob.id);
    this.#cache.delete(blobCacheKey(blob.id));
  }

  /** Makes offsets below `begin` gone; space is freed in the background. A lower one than before does nothing. */
  trim(log: number, begin: number): void {
    this.#assertWritable();
    this.#ledger.trim(log, begin);
  }

  /** The highest offset that trimming by size or age could go to, at the borders of what shares a journal value. Looks at memory only. */
  trimTarget(log: number, options: TrimTargetOptions): number {
    return this.#ledger.trimTarget(log, options);
  }

  /** The first offset whose time is at least `timeMs`; the log's end if there is none. */
  async offsetAtTime(log: number, timeMs: number): Promise<number> {
    this.#assertOpen();
    return await this.#logReader.offsetAtTime(log, timeMs);
  }

  // ---- commits

  /** There is something to commit: begins in this turn, or when the commit in flight is through. */
  commit(): void {
    this.#assertWritable();
    this.#isStarted = true;
    this.#committer.request();
  }

  /** There is something to commit that nobody waits for: it may go with the next commit of others, within some ms. */
  commitSoon(): void {
    this.#assertWritable();
    this.#isStarted = true;
    this.#committer.requestSoon();
  }

  /**
   * Resolves when all that was put and appended until now is on disk.
   *
   * @throws {MomError} what the store failed with.
   */
  committed(): Promise<void> {
    if (this.#isClosed) return Promise.reject(closedError());
    this.#isStarted = true;
    this.#committer.request();
    return this.#committer.whenCommitted(this.#ledger.openSerial);
  }

  // ---- reading

  /**
   * Items on disk of several logs from `next` on, in the order in which they
   * were appended over all logs.
   *
   * @param wants Each log at most once. The first item of a log may begin before `next`.
   * @param maxBytes Ends when this much is read; one item at least if there is any.
   * @throws {MomError} `closed`, `store_unavailable`.
   */
  async readInOrder(
    wants: Iterable<Want>,
    maxBytes: number,
  ): Promise<ReadResult[]> {
    this.#assertOpen();
    return await this.#logReader.read(wants, maxBytes);
  }

  /** As {@link readInOrder} at once, or `null` when it would have to read from disk. */
  readCached(wants: Iterable<Want>, maxBytes: number): ReadResult[] | null {
    return this.#logReader.readCached(wants, maxBytes);
  }

  /**
   * The body of an item whose `blob` is not `null`.
   *
   * @throws {MomError} `data_damaged` when it is damaged or was trimmed.
   */
  async readBlob(blob: number): Promise<Uint8Array> {
    this.#assertOpen();
    const bytes = this.#ledger.blobs.bytesOf(blob);
    if (bytes === undefined) throw blobDamaged(blob, "it is gone");
    const cached = this.#cache.get(blobCacheKey(blob));
    if (cached !== undefined) return cached;
    const body = await readBlobParts(this.#reader, blob, bytes);
    if (body === null) throw blobDamaged(blob, "a part is missing or damaged");
    this.#cache.set(blobCacheKey(blob), body);
    return body;
  }

  /** On a full disk, what waits for room is tried once more and then fails. Before {@link close}. */
  stopWaiting(): void {
    this.#space?.stopWaiting();
  }

  /** Commits what is there, then closes. May be called again, also after a failure. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // ---- inside

  async #close(): Promise<void> {
    this.stopWaiting();
    await this.#committer.close();
    this.#isClosed = true;
    await this.#reader.close();
    await this.#space?.close();
    this.#place.close();
  }

  #newLedger(opened: Opened): Ledger {
    const { root, lists } = opened;
    const last = lists[lists.length - 1];
    return new Ledger({
      position: last?.position ?? root.foldedPosition,
      counters: last?.counters ?? root.counters,
      take: (table) => this.#take(table),
    }, {
      clock: this.clock,
      cache: this.#cache,
      onSeal: () => this.#callOwner(),
      onGroup: (group) => this.#committer.push(group),
    });
  }

  #newCommitter(versionstamp: string): Committer {
    const { writer } = this.#place;
    return new Committer(writer, this.clock, versionstamp, this.#fold, {
      seal: () => this.#ledger.seal(),
      hasUpkeep: () => this.#isStarted && this.#ledger.hasDead,
      onFull: () => this.#space?.makeRoom() ?? Promise.resolve(false),
      onFailed: (error) => this.#options.onFailed(error),
    });
  }

  #newSpace(folder: string): Space {
    const { clock, limits } = this.#options;
    return new Space({
      folder,
      clock,
      reserveBytes: limits?.reserveBytes,
      freeBytesMin: limits?.freeBytesMin,
      liveBytes: () => this.liveBytes,
      dirtyBytes: () => this.dirtyBytes,
    }, this.#place.unusedBytes);
  }

  #callOwner(): (() => void) | null {
    // Closed before it was used: the owner may never have come to be.
    if (!this.#isStarted && this.#ledger.isOpenEmpty) return null;
    return this.#options.onSeal();
  }

  #take(table: number): Map<number, Uint8Array> {
    const entries = this.#tables.get(table);
    this.#tables.delete(table);
    return entries ?? new Map();
  }

  #change(table: number, key: number, value: Uint8Array | null): void {
    this.#assertWritable();
    checkTable(table);
    if (!Number.isSafeInteger(key) || key < 0) {
      throw new RangeError(`Cannot use key ${key} of table ${table}`);
    }
    this.#ledger.change(table, key, value);
  }

  #assertWritable(): void {
    const { failure } = this.#committer;
    if (failure !== null) throw failure;
    this.#assertOpen();
  }

  #assertOpen(): void {
    if (this.#isClosed) throw closedError();
  }
}

function checkTable(table: number): void {
  if (!Number.isInteger(table) || table < 1 || table > OWNER_TABLE_MAX) {
    throw new RangeError(
      `Cannot use table ${table}: 1 to ${OWNER_TABLE_MAX} are the owner's`,
    );
  }
}

function closedError(): MomError {
  return new MomError("closed", "Cannot use the store: it is closed");
}
