/**
 * The one writer of a store. While a commit is in flight everything else
 * gathers; then all of it goes into the next. One commit after another, in
 * order, so that what is on disk is always the state after some commit.
 *
 * @module
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { changeListParts, type ChangeSet } from "./change_list.ts";
import { type Fold, FOLD_COMMIT_BYTES, mutationBytes } from "./fold.ts";
import { commitAtomic } from "./kv_commit.ts";
import { kvErrorCode, toStoreError } from "./kv_errors.ts";
import {
  COMMIT_BYTES_MAX,
  type Counters,
  type Mutation,
  OWNER_KEY,
} from "./layout.ts";

/** What the store has sealed: it goes to disk as a whole or not at all. */
export interface Group {
  /** Grows by one each; also for groups that change nothing. */
  readonly serial: number;
  /** Its position, or 0 when it changes nothing. */
  readonly position: number;
  /** Journal values. */
  readonly values: readonly Mutation[];
  /** What is deleted with it. */
  readonly deletes: readonly Mutation[];
  /** The encoded change list. */
  readonly list: Uint8Array;
  /** What is in it. */
  readonly changes: ChangeSet;
  /** The counters in it. */
  readonly counters: Counters;
  /** To be called when it is on disk. */
  onCommitted(): void;
}

/** What a committer asks of its store. */
export interface CommitterHooks {
  /** Close the open group and {@link Committer.push} it, if it holds anything. */
  seal(): void;
  /** Whether there is work that wants a group of its own when nothing else is going on. */
  hasUpkeep(): boolean;
  /** The disk is full. Resolves, after a while, to whether to try again. */
  onFull(): Promise<boolean>;
  /** Nothing more can be committed. Called once. */
  onFailed(error: MomError): void;
}

/** Parts of a blob that wait for a commit. */
interface BlobWork {
  readonly next: () => Mutation[] | null;
  readonly resolve: () => void;
  readonly reject: (error: MomError) => void;
}

interface Waiter {
  readonly serial: number;
  readonly resolve: () => void;
  readonly reject: (error: MomError) => void;
}

/** What rides along with a group: little, so that nobody waits for it. */
const RIDING_BYTES_MAX = 128 * 1024;

/** How long what nobody waits for may wait for a commit that has another reason. */
const IDLE_COMMIT_MS = 10;

/** Commits groups, folds and blobs, one at a time. */
export class Committer {
  readonly #kv: Deno.Kv;
  readonly #clock: Clock;
  readonly #versionstamp: string;
  readonly #fold: Fold;
  readonly #hooks: CommitterHooks;
  readonly #groups: Group[] = [];
  /** On disk, and nobody has been told. */
  readonly #committed: Group[] = [];
  readonly #blobs: BlobWork[] = [];
  #waiters: Waiter[] = [];
  #serialDone = 0;
  #isWanted = false;
  #isWantedSoon = false;
  #soonTimer: Timer | null = null;
  /** Whether the loop runs or is about to: there is never a second one. */
  #isRunning = false;
  #isClosing = false;
  #loop: Promise<void> | null = null;
  #failure: MomError | null = null;

  /**
   * @param versionstamp Of the owner entry; another one ends this committer.
   */
  constructor(
    kv: Deno.Kv,
    clock: Clock,
    versionstamp: string,
    fold: Fold,
    hooks: CommitterHooks,
  ) {
    this.#kv = kv;
    this.#clock = clock;
    this.#versionstamp = versionstamp;
    this.#fold = fold;
    this.#hooks = hooks;
  }

  /** Why it stopped, or `null`. */
  get failure(): MomError | null {
    return this.#failure;
  }

  /** There is something to commit. Begins in this turn if nothing is in flight. */
  request(): void {
    this.#isWanted = true;
    this.wake();
  }

  /**
   * There is something to commit that nobody waits for: it goes with the next
   * commit that has another reason, or after {@link IDLE_COMMIT_MS}.
   */
  requestSoon(): void {
    if (this.#isWanted || this.#isWantedSoon) return;
    this.#isWantedSoon = true;
    if (this.#isClosing) return this.request();
    // Not cancelled by a commit that comes before: that would be a timer for each.
    this.#soonTimer ??= this.#clock.setTimer(IDLE_COMMIT_MS, () => {
      this.#soonTimer = null;
      if (this.#isWantedSoon) this.request();
    });
  }

  /** There may be something to do. */
  wake(): void {
    if (this.#isRunning || this.#failure !== null) return;
    this.#isRunning = true;
    queueMicrotask(() => {
      this.#loop = this.#run().finally(() => {
        this.#isRunning = false;
        this.#loop = null;
        // Something may have come between the last look and here.
        if (this.#hasWork) this.wake();
      });
    });
  }

  /** Takes over a sealed group. */
  push(group: Group): void {
    this.#groups.push(group);
    this.wake();
  }

  /** Resolves when group `serial` is on disk. */
  whenCommitted(serial: number): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (serial <= this.#serialDone) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ serial, resolve, reject });
    });
  }

  /** Commits what `next` gives, piece by piece between the groups, until it gives `null`. */
  commitPieces(next: () => Mutation[] | null): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#blobs.push({ next, resolve, reject });
      this.wake();
    });
  }

  /** Stops for good; callbacks of what is not on disk never run. */
  fail(error: MomError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#soonTimer?.cancel();
    this.#groups.length = this.#committed.length = 0;
    for (const work of this.#blobs.splice(0)) work.reject(error);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.#hooks.onFailed(error);
  }

  /** Commits what is there and ends. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#soonTimer?.cancel();
    this.request();
    do {
      await Promise.resolve();
      await this.#loop;
    } while (this.#failure === null && this.#isBusy);
    await this.#fold.stop();
  }

  get #isBusy(): boolean {
    return this.#isRunning || this.#hasWork;
  }

  get #hasWork(): boolean {
    if (this.#isWanted || this.#groups.length > 0) return true;
    if (this.#committed.length > 0) return true;
    if (this.#blobs.length > 0) return true;
    return !this.#isClosing &&
      (this.#fold.isReady || this.#hooks.hasUpkeep());
  }

  async #run(): Promise<void> {
    try {
      while (this.#failure === null && await this.#step());
    } catch (error) {
      this.fail(toStoreError(error, "commit to the store"));
    }
  }

  /** Commits once; `false` when there is nothing to do. */
  async #step(): Promise<boolean> {
    const didGroup = await this.#stepGroup();
    if (this.#failure !== null) return false;
    const didBlob = await this.#stepBlob();
    if (didGroup || didBlob) return true;
    // Nobody waits for what comes next: those who wait for a group go first.
    if (this.#tellCommitted()) return true;
    if (this.#isClosing || !this.#fold.isReady) return false;
    await this.#commitFold();
    return true;
  }

  async #stepGroup(): Promise<boolean> {
    if (this.#groups.length === 0) {
      const isUpkeep = !this.#isClosing && this.#hooks.hasUpkeep();
      if (!this.#isWanted && !isUpkeep) return false;
      this.#isWanted = this.#isWantedSoon = false;
      this.#hooks.seal();
    }
    const group = this.#groups[0];
    if (group === undefined) return false;
    if (group.position > 0) await this.#commitGroup(group);
    if (this.#failure !== null) return false;
    this.#groups.shift();
    this.#committed.push(group);
    return true;
  }

  /**
   * Tells of what is on disk; whether there was anything. While commits follow one
   * another that is done beside the next one: the disk does not wait for receipts
   * and deliveries to be written.
   */
  #tellCommitted(): boolean {
    if (this.#committed.length === 0) return false;
    for (const group of this.#committed.splice(0)) {
      this.#serialDone = group.serial;
      group.onCommitted();
    }
    this.#resolveWaiters();
    return true;
  }

  async #commitGroup(group: Group): Promise<void> {
    await this.#makeRoomInRing(group.position);
    const parts = changeListParts(group.position, group.list);
    const [head] = parts.splice(0, 1);
    const sets = [...group.values];
    const fixed = [...sets, head, ...group.deletes];
    let bytes = fixed.reduce((sum, m) => sum + mutationBytes(m), 0);
    while (parts.length > 0) {
      const size = mutationBytes(parts[0]);
      if (bytes + size > COMMIT_BYTES_MAX) break;
      bytes += size;
      sets.push(...parts.splice(0, 1));
    }
    // A list larger than the commit has room for: its head makes it valid, so
    // the other parts can go ahead of it.
    await this.#commitAhead(parts);
    const room = Math.min(COMMIT_BYTES_MAX - bytes, RIDING_BYTES_MAX);
    const pages = this.#fold.take(room, false);
    // Deno KV (2.9) commits what came before a statement that fails within an
    // atomic operation. So the order is such that any front part of it is a
    // state that can be opened: the list's head makes the group valid, what it
    // needs comes before, what it makes needless goes after.
    await this.#write([...pages, ...sets, head, ...group.deletes]);
    if (pages.length > 0) this.#fold.committed();
    const { position, counters, changes, list } = group;
    this.#fold.add({ position, counters, changes, bytes: list.length });
  }

  async #commitAhead(parts: Mutation[]): Promise<void> {
    while (parts.length > 0) await this.#write(parts.splice(0, 12));
  }

  /** The list of `position` overwrites an older one: that must be folded. */
  async #makeRoomInRing(position: number): Promise<void> {
    while (this.#failure === null && this.#fold.blocks(position)) {
      await this.#fold.wait();
      if (this.#failure !== null) throw this.#failure;
      if (!this.#fold.isReady) {
        throw new MomError("internal", "Cannot fold: nothing came of waiting");
      }
      await this.#commitFold();
    }
  }

  async #commitFold(): Promise<void> {
    await this.#write(this.#fold.take(FOLD_COMMIT_BYTES, true));
    this.#fold.committed();
  }

  async #stepBlob(): Promise<boolean> {
    const work = this.#blobs.shift();
    if (work === undefined) return false;
    const mutations = work.next();
    if (mutations === null) {
      work.resolve();
      return true;
    }
    try {
      await this.#write(mutations);
    } catch (error) {
      // Who waits for it hears of the failure with all others.
      this.#blobs.push(work);
      throw error;
    }
    // To the back: several blobs take turns.
    this.#blobs.push(work);
    return true;
  }

  /**
   * On a full disk nothing is lost and nothing goes on: the same is tried until
   * there is room. The values are whole and at fixed keys, so it does no harm if
   * some of an earlier try had effect.
   */
  async #write(mutations: readonly Mutation[]): Promise<void> {
    while (true) {
      try {
        return await this.#commit(mutations);
      } catch (error) {
        if (kvErrorCode(error) !== "storage_full") throw error;
        if (!await this.#hooks.onFull()) throw error;
      }
    }
  }

  async #commit(mutations: readonly Mutation[]): Promise<void> {
    const owner = {
      key: OWNER_KEY as unknown as Deno.KvKey,
      versionstamp: this.#versionstamp,
    };
    const commit = commitAtomic(this.#kv, [owner], mutations);
    try {
      this.#tellCommitted();
    } catch (error) {
      await Promise.allSettled([commit]);
      throw error;
    }
    const result = await commit;
    if (result !== null) return;
    throw new MomError(
      "data_in_use",
      "Cannot commit to the store: another process has taken it over",
    );
  }

  #resolveWaiters(): void {
    if (this.#waiters.length === 0) return;
    const done = this.#serialDone;
    const ready = this.#waiters.filter((waiter) => waiter.serial <= done);
    this.#waiters = this.#waiters.filter((waiter) => waiter.serial > done);
    for (const waiter of ready) waiter.resolve();
  }
}
