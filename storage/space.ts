/**
 * The disk's free space: below a mark nothing is appended any more, and what is
 * kept free, with the reserve, is for all else: acknowledgements and trims.
 *
 * The database never shrinks: what trims leave free in it is used again before
 * it grows. So there is room for
 *
 * ```text
 *   free on the disk
 * + what the database has free (the most that ever was in it, less what is now)
 * - what its log still has to put into its file
 * - what its log may grow by, before it is used again from the start
 * - what the reserve lacks, and what is on its way
 * ```
 *
 * On a small disk mark and reserve are smaller: a sixteenth of it each.
 *
 * @module
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { type DiskMeter, meterOf } from "./disk_meter.ts";
import { Reserve } from "./reserve.ts";

/** What is watched, and its numbers. */
export interface SpaceOptions {
  /** The store's folder. */
  readonly folder: string;
  /** Time. */
  readonly clock: Clock;
  /** Size of the reserve file; 0 for none. By default what fits the disk. */
  readonly reserveBytes?: number;
  /** The mark: appending needs more free bytes than this. By default what fits the disk. */
  readonly freeBytesMin?: number;
  /** Bytes of messages in the database, those that wait for their deletion included. */
  liveBytes(): number;
  /** Bytes that are not yet on disk, some of them counted by {@link liveBytes} already. */
  dirtyBytes(): number;
  /** What is looked at: a seam for tests. */
  readonly meter?: DiskMeter;
}

const MIB = 1024 * 1024;
const RESERVE_BYTES_MAX = 32 * MIB;
const FREE_BYTES_MIN_MAX = 64 * MIB;
/** The part of a small disk that mark and reserve take each. */
const SHARE = 1 / 16;
/** SQLite begins its log anew after 1,000 pages and the commit that goes beyond. */
const LOG_BYTES_MAX = 5 * MIB;
/** The database's own overhead on what is put into it, on the safe side. */
const OVERHEAD = 1.15;
const CHECK_EVERY_MS = 100;
/** … and when so much has been taken since. */
const CHECK_EVERY_BYTES = MIB / 2;
/** The reserve is written when a store lives longer than this. */
const RESERVE_DELAY_MS = 1000;
/** Between two tries to write on a full disk. */
const RETRY_MS = 250;

/** The free space of one folder's disk. */
export class Space {
  readonly #options: SpaceOptions;
  readonly #meter: DiskMeter;
  readonly #reserve: Reserve;
  #checkedMs = -Infinity;
  #liveAtCheck = 0;
  #freeBytes = Infinity;
  #totalBytes = Infinity;
  #databaseBytes = 0;
  #logBytes = 0;
  /** What the reserve still lacks: set aside also while there is none. */
  #reserveMissing = 0;
  /** The most that ever was in the database: so large it is, file and log together. */
  #liveMost: number;
  /** … at the opening, and how large it was then. */
  readonly #liveMostAtStart: number;
  readonly #sizeAtStart: number;
  #timer: Timer | null = null;
  #wake: (() => void) | null = null;
  #isPatient = true;

  /**
   * Begins to watch; the reserve is made a little later.
   *
   * @param unusedBytes What the database's file has free at the opening.
   */
  constructor(options: SpaceOptions, unusedBytes = 0) {
    this.#options = options;
    this.#meter = options.meter ?? meterOf(options.folder);
    this.#reserve = new Reserve(options.folder);
    this.#liveMost = this.#liveMostAtStart = options.liveBytes() + unusedBytes;
    this.#check();
    this.#sizeAtStart = this.#databaseBytes + this.#logBytes;
    this.#planReserve();
  }

  /** Whether there is room for `bytes` of messages. Cheap: looks only now and then. */
  hasRoom(bytes = 0): boolean {
    if (this.#wake !== null) return false;
    const nowMs = this.#options.clock.monotonicMs();
    const live = this.#options.liveBytes();
    this.#liveMost = Math.max(this.#liveMost, live);
    if (
      nowMs - this.#checkedMs >= CHECK_EVERY_MS ||
      live - this.#liveAtCheck >= CHECK_EVERY_BYTES
    ) {
      this.#check();
      this.#planReserve();
    }
    const onDisk = this.#roomOnDisk();
    const unused = (this.#liveMost - live) / OVERHEAD;
    const coming = this.#comingBytes(live) +
      (this.#options.dirtyBytes() + bytes) * OVERHEAD;
    const least = this.#freeBytesMin;
    // What the database has free is a guess: some of the disk itself, too.
    return onDisk > least / 2 && onDisk + unused - coming > least;
  }

  /**
   * The disk is full: gives the reserve up, or waits a little.
   *
   * @returns Whether to try again; `false` after {@link stopWaiting}.
   */
  async makeRoom(): Promise<boolean> {
    // Until the next look nothing is free, whatever the disk tells.
    this.#freeBytes = 0;
    this.#checkedMs = this.#options.clock.monotonicMs();
    this.#cancelReserve();
    if (await this.#reserve.giveUp()) return true;
    if (!this.#isPatient) return false;
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.setTimer(RETRY_MS, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = null;
    return true;
  }

  /** Who waits for room tries once more and then gives up. */
  stopWaiting(): void {
    this.#isPatient = false;
    this.#wake?.();
  }

  /** Ends the watch; the reserve stays. */
  async close(): Promise<void> {
    this.#cancelReserve();
    this.#isPatient = false;
    await this.#reserve.stop();
  }

  get #reserveBytes(): number {
    return this.#options.reserveBytes ??
      partOf(this.#totalBytes * SHARE, RESERVE_BYTES_MAX);
  }

  get #freeBytesMin(): number {
    return this.#options.freeBytesMin ??
      partOf(this.#totalBytes * SHARE, FREE_BYTES_MIN_MAX);
  }

  /** What is free on the disk, less what is set aside. */
  #roomOnDisk(): number {
    const logGrowth = Math.max(0, LOG_BYTES_MAX - this.#logBytes);
    return this.#freeBytes - this.#reserveMissing - logGrowth;
  }

  /** What the log still has to put into the database's file, at most. */
  #comingBytes(live: number): number {
    const size = this.#sizeAtStart +
      (this.#liveMost - this.#liveMostAtStart) * OVERHEAD;
    // What was put in since the look is not in the log that was looked at.
    const since = Math.max(0, live - this.#liveAtCheck);
    const coming = Math.max(0, size - this.#databaseBytes);
    return Math.min(coming, this.#logBytes + since * OVERHEAD);
  }

  #check(): void {
    this.#checkedMs = this.#options.clock.monotonicMs();
    this.#liveAtCheck = this.#options.liveBytes();
    this.#freeBytes = this.#meter.freeBytes();
    this.#totalBytes = this.#meter.totalBytes();
    this.#databaseBytes = this.#meter.databaseBytes();
    this.#logBytes = this.#meter.logBytes();
    this.#reserveMissing = Math.max(
      0,
      this.#reserveBytes - this.#reserve.bytes,
    );
  }

  #cancelReserve(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #planReserve(): void {
    if (this.#timer !== null || !this.#isReserveDue) return;
    this.#timer = this.#options.clock.setTimer(RESERVE_DELAY_MS, () => {
      this.#timer = null;
      if (this.#isReserveDue) this.#reserve.make(this.#reserveBytes);
    });
  }

  get #isReserveDue(): boolean {
    if (!this.#isPatient || this.#reserve.isBeingMade) return false;
    const missing = this.#reserveBytes - this.#reserve.bytes;
    return missing > 0 &&
      this.#meter.freeBytes() >= missing + this.#freeBytesMin / 2;
  }
}

/** A whole number of bytes, the whole of `most` if the disk can't be measured. */
function partOf(bytes: number, most: number): number {
  return Math.floor(Math.min(bytes, most));
}
