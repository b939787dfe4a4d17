/**
 * The store's state in memory, which runs ahead of the disk: logs, values,
 * blobs, and the open group that gathers what changes. No I/O: {@link Ledger.seal}
 * gives what the committer is to write.
 *
 * @module
 */

import type { Clock } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { BlobRegistry, type StagedBlob } from "./blobs.ts";
import { encodeChangeList } from "./change_list.ts";
import type { Group } from "./committer.ts";
import { Directory } from "./directory.ts";
import { decodeDirectoryEntry } from "./directory_entry.ts";
import { type BlobPointer, ITEM_HEAD_BYTES_MAX } from "./item.ts";
import { Journal } from "./journal.ts";
import {
  type Counters,
  GROUP_BYTES_HARD_MAX,
  GROUP_BYTES_MAX,
  ITEM_BYTES_MAX,
  journalKey,
  type Mutation,
  TABLE,
} from "./layout.ts";
import type { LogIndex } from "./log_index.ts";
import { OpenGroup } from "./open_group.ts";
import type { TrimTargetOptions } from "./store_options.ts";
import { Timeline } from "./timeline.ts";
import type { ValueCache } from "./value_cache.ts";
import { VarintReader, varintSize, writeVarint } from "./varint.ts";

/** Deletions that ride along with a commit, so that nobody waits for them. */
const DELETES_PER_COMMIT = 16;

/** What a ledger begins with. */
export interface LedgerStart {
  /** The last commit. */
  readonly position: number;
  /** The counters as of then. */
  readonly counters: Counters;
  /** Gives the entries of a table of the store's own. */
  take(table: number): Map<number, Uint8Array>;
}

/** Whom a ledger works with. */
export interface LedgerHooks {
  /** Time. */
  readonly clock: Clock;
  /** Where values go that are on disk. */
  readonly cache: ValueCache;
  /** The owner's last word on a group. */
  onSeal(): (() => void) | null;
  /** A group was closed. */
  onGroup(group: Group): void;
}

/** The state in memory. */
export class Ledger {
  /** Which log is where. */
  readonly directory: Directory = new Directory();
  /** Values that are not yet on disk. */
  readonly journal: Journal;
  /** Large bodies. */
  readonly blobs: BlobRegistry;
  /** What time it is. */
  readonly timeline: Timeline;
  /** The last commit that is on disk. */
  position: number;
  readonly #hooks: LedgerHooks;
  #open = new OpenGroup(1);
  #sealedPosition: number;
  #lastTime: number;
  #nextLog: number;
  #waitingBytes = 0;
  #isSealing = false;

  /** A ledger as of an opening. */
  constructor(start: LedgerStart, hooks: LedgerHooks) {
    this.#hooks = hooks;
    this.position = start.position;
    this.#sealedPosition = start.position;
    this.#lastTime = start.counters.time;
    this.timeline = new Timeline(hooks.clock, this.#lastTime, this);
    this.#nextLog = start.counters.nextLog;
    this.blobs = new BlobRegistry(start.counters.nextBlob);
    this.journal = new Journal(start.counters.nextSeq, {
      onFinished: (seq) => {
        this.directory.tailSeq = 0;
        this.directory.finish(seq);
      },
      onStored: (value) => hooks.cache.set(value.seq, value.bytes),
    });
    this.#load(start);
  }

  /** The open group's number. */
  get openSerial(): number {
    return this.#open.serial;
  }

  /** The commit that will hold what comes now. */
  get openPosition(): number {
    return this.#sealedPosition + 1;
  }

  /** Whether the open group holds anything. */
  get isOpenEmpty(): boolean {
    return this.#open.bytes === 0;
  }

  /** The time of what comes now. */
  get openTime(): number {
    const open = this.#open;
    if (open.time === 0) {
      open.time = this.timeline.stamp();
      this.#lastTime = open.time;
    }
    return open.time;
  }

  /** Bytes that are not yet on disk, about. */
  get dirtyBytes(): number {
    return this.#waitingBytes + this.#open.bytes;
  }

  /** Bytes of stored messages, dead ones that still wait for their deletion included. */
  get liveBytes(): number {
    return this.directory.bytes + this.blobs.bytes;
  }

  /** Whether something waits for its deletion. */
  get hasDead(): boolean {
    return this.directory.deadCount > 0 || this.blobs.hasDying;
  }

  /**
   * The log.
   *
   * @throws {RangeError} if there is none.
   */
  log(log: number): LogIndex {
    const index = this.directory.log(log);
    if (index === undefined) {
      throw new RangeError(`Cannot use log ${log}: there is none`);
    }
    return index;
  }

  /** Changes an entry. */
  change(table: number, key: number, value: Uint8Array | null): void {
    this.#open.changes.set(table, key, value);
  }

  /** Makes a log. */
  createLog(): number {
    const log = this.#nextLog++;
    this.directory.create(log);
    this.#putBegin(log, 0);
    return log;
  }

  /** Ends a log. */
  dropLog(log: number): void {
    this.directory.remove(this.log(log));
    this.blobs.trim(log, Infinity);
    this.change(TABLE.logs, log, null);
  }

  /** Closes the open group when it can't take `bytes` more. */
  makeRoom(bytes: number): void {
    const { itemBytes } = this.#open;
    if (itemBytes === 0) return;
    if (itemBytes + bytes + ITEM_HEAD_BYTES_MAX > GROUP_BYTES_MAX) this.seal();
  }

  /**
   * Appends an item.
   *
   * @returns Its first offset.
   * @throws {RangeError} for an unknown log, or too many bytes.
   */
  append(
    log: number,
    count: number,
    meta: Uint8Array,
    body: Uint8Array | BlobPointer,
  ): number {
    const index = this.log(log);
    const bodyBytes = body instanceof Uint8Array ? body.length : body.bytes;
    const size = meta.length + (body instanceof Uint8Array ? bodyBytes : 0);
    checkSize(log, size);
    const cost = size + ITEM_HEAD_BYTES_MAX;
    if (this.#open.itemBytes + cost > GROUP_BYTES_HARD_MAX) this.seal();
    const time = this.openTime;
    const base = index.end;
    const position = this.openPosition;
    const head = { log, base, count, position, time };
    const seq = this.journal.append(head, meta, body);
    this.directory.tailSeq = seq;
    this.directory.add(index, seq, count, meta.length + bodyBytes, time);
    this.#open.itemBytes += cost;
    this.#open.touch(index);
    return base;
  }

  /** Begins a large body. */
  stage(bytes: number): StagedBlob {
    const blob = this.blobs.stage(bytes);
    this.#putBlob(blob.id);
    return blob;
  }

  /** Appends an item that points to a large body. */
  appendStaged(log: number, meta: Uint8Array, blob: StagedBlob): number {
    const index = this.log(log);
    checkSize(log, meta.length);
    this.makeRoom(meta.length);
    this.blobs.attach(blob.id, log, index.end);
    const offset = this.append(log, 1, meta, blob);
    this.#putBlob(blob.id);
    return offset;
  }

  /** Makes offsets below `begin` gone. */
  trim(log: number, begin: number): void {
    const index = this.log(log);
    const target = Math.min(begin, index.end);
    if (target <= index.begin) return;
    this.directory.trim(index, target);
    this.blobs.trim(log, target);
    this.#putBegin(log, target);
  }

  /** How far a log could be trimmed. */
  trimTarget(log: number, options: TrimTargetOptions): number {
    const index = this.log(log);
    const { keepBytes = Infinity, olderThanMs = Infinity } = options;
    const bySize = index.offsetKeeping(keepBytes);
    const byAge = index.offsetBefore(this.timeline.stampOfAge(olderThanMs));
    const target = Math.min(Math.max(bySize, byAge), index.committedEnd);
    return Math.max(target, index.begin);
  }

  /** Closes the open group and hands it on. */
  seal(): void {
    const onCommitted = this.#callOwner();
    const open = this.#open;
    const deletes = this.#takeDead();
    const sealed = this.journal.seal();
    sealed.entries.forEach(([seq, entry], i) => {
      open.changes.set(TABLE.directory, seq, entry);
      this.directory.setLength(seq, sealed.values[i].length);
    });
    const isEmpty = open.changes.isEmpty && deletes.length === 0;
    const position = isEmpty ? 0 : ++this.#sealedPosition;
    const counters = this.#counters();
    const ends = open.logs.map((log) => log.end);
    const { bytes } = open;
    this.#waitingBytes += bytes;
    this.#open = new OpenGroup(open.serial + 1);
    this.#hooks.onGroup({
      serial: open.serial,
      position,
      values: sealed.mutations,
      deletes,
      list: encodeChangeList(position, counters, open.changes),
      changes: open.changes,
      counters,
      onCommitted: () => {
        if (position > 0) this.position = position;
        open.logs.forEach((log, i) => log.committedEnd = ends[i]);
        this.journal.release(sealed.values);
        this.#waitingBytes -= bytes;
        onCommitted?.();
      },
    });
  }

  #callOwner(): (() => void) | null {
    if (this.#isSealing) {
      throw new MomError("internal", "Cannot append while a group is closed");
    }
    this.#isSealing = true;
    try {
      return this.#hooks.onSeal();
    } finally {
      this.#isSealing = false;
    }
  }

  /** Deletions within the budget of one commit, oldest first. */
  #takeDead(): Mutation[] {
    const deletes: Mutation[] = [];
    for (const seq of this.directory.takeDead(DELETES_PER_COMMIT)) {
      this.change(TABLE.directory, seq, null);
      this.#hooks.cache.delete(seq);
      deletes.push({ key: journalKey(seq), value: null });
    }
    const blobs = this.blobs.takeDead(DELETES_PER_COMMIT - deletes.length);
    for (const id of blobs.ended) {
      this.change(TABLE.blobs, id, null);
      this.#hooks.cache.delete(blobCacheKey(id));
    }
    return [...deletes, ...blobs.deletes];
  }

  #counters(): Counters {
    return {
      time: this.#lastTime,
      nextLog: this.#nextLog,
      nextSeq: this.journal.nextSeq,
      nextBlob: this.blobs.nextId,
    };
  }

  /** Logs first, then what lies where. */
  #load(start: LedgerStart): void {
    for (const [log, entry] of start.take(TABLE.logs)) {
      this.directory.create(log, new VarintReader(entry).next());
    }
    const values = [...start.take(TABLE.directory)].sort(([a], [b]) => a - b);
    for (const [seq, entry] of values) {
      this.directory.load(seq, decodeDirectoryEntry(entry));
    }
    this.blobs.load(
      start.take(TABLE.blobs),
      (log) => this.directory.log(log)?.begin,
    );
  }

  #putBegin(log: number, begin: number): void {
    const entry = new Uint8Array(varintSize(begin));
    writeVarint(entry, 0, begin);
    this.change(TABLE.logs, log, entry);
  }

  #putBlob(id: number): void {
    this.change(TABLE.blobs, id, this.blobs.entry(id));
  }
}

function checkSize(log: number, size: number): void {
  if (size <= ITEM_BYTES_MAX) return;
  throw new RangeError(
    `Cannot append to log ${log}: ${size} bytes, at most ${ITEM_BYTES_MAX}`,
  );
}

/** Where the cache keeps a blob. */
export function blobCacheKey(id: number): string {
  return `blob ${id}`;
}
