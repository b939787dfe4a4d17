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
import { assemble, type Parts } from "./assembly.ts";
import type { StagedBlob } from "./blobs.ts";
import type { Committer } from "./committer.ts";
import { openPlace, type StorePlace } from "./folder.ts";
import type { ReadResult } from "./item.ts";
import { toStoreError } from "./kv_errors.ts";
import type { Ledger } from "./ledger.ts";
import type { Want } from "./log_reader.ts";
import { type Opened, readStore } from "./opening.ts";
import type { StoreOptions, TrimTargetOptions } from "./store_options.ts";
import type { Timeline } from "./timeline.ts";

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
  /** What time it goes by. */
  readonly clock: Clock;
  readonly #place: StorePlace;
  readonly #parts: Parts;
  readonly #ledger: Ledger;
  readonly #committer: Committer;
  /** Whether the owner asked for a commit: before, it may still be loading. */
  #isStarted = false;
  #isClosed = false;
  #closing: Promise<void> | null = null;

  private constructor(
    options: StoreOptions,
    place: StorePlace,
    opened: Opened,
  ) {
    const parts = assemble(options, place, opened, () => this.#isStarted);
    this.id = opened.root.id;
    this.epoch = opened.root.epoch;
    this.isMemory = options.data === ":memory:";
    this.clock = options.clock;
    this.#place = place;
    this.#parts = parts;
    this.#ledger = parts.ledger;
    this.#committer = parts.committer;
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
    return this.#ledger.dirtyBytes + this.#parts.bodies.stagingBytes;
  }

  /** Bytes of stored messages, dead ones that still wait for their deletion included. */
  get liveBytes(): number {
    return this.#ledger.liveBytes;
  }

  /** Size of the files, at most 250 ms old; they never shrink. Without files as {@link liveBytes}. */
  bytesOnDisk(): number {
    return this.#parts.bytesOnDisk();
  }

  /** Whether there is room for `bytes` of messages. All else may go on when not. */
  canAppend(bytes = 0): boolean {
    return this.#committer.failure === null &&
      (this.#parts.space?.hasRoom(bytes) ?? true);
  }

  // ---- tables

  /** The entries of an owner's table as of opening; gives them away, the second call gives none. */
  takeEntries(table: number): Map<number, Uint8Array> {
    return this.#parts.tables.take(table);
  }

  /**
   * Sets an entry; the last one of a group counts.
   *
   * @param table 1 … 31.
   * @param key A safe integer, 0 or above.
   * @param value Belongs to the store from then on: do not change it.
   */
  put(table: number, key: number, value: Uint8Array): void {
    this.#assertWritable();
    this.#parts.tables.set(table, key, value);
  }

  /** Removes an entry. */
  delete(table: number, key: number): void {
    this.#assertWritable();
    this.#parts.tables.set(table, key, null);
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
    return await this.#parts.bodies.stage(body, () => this.committed());
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
    this.#parts.bodies.discard(blob);
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
    return await this.#parts.logReader.offsetAtTime(log, timeMs);
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
    return await this.#parts.logReader.read(wants, maxBytes);
  }

  /** As {@link readInOrder} at once, or `null` when it would have to read from disk. */
  readCached(wants: Iterable<Want>, maxBytes: number): ReadResult[] | null {
    return this.#parts.logReader.readCached(wants, maxBytes);
  }

  /**
   * The body of an item whose `blob` is not `null`.
   *
   * @throws {MomError} `data_damaged` when it is damaged or was trimmed.
   */
  async readBlob(blob: number): Promise<Uint8Array> {
    this.#assertOpen();
    return await this.#parts.bodies.read(blob);
  }

  /** On a full disk, what waits for room is tried once more and then fails. Before {@link close}. */
  stopWaiting(): void {
    this.#parts.space?.stopWaiting();
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
    await this.#parts.reader.close();
    await this.#parts.space?.close();
    this.#place.close();
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

function closedError(): MomError {
  return new MomError("closed", "Cannot use the store: it is closed");
}
