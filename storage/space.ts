/**
 * The disk's free space: below a mark nothing is appended any more, and what is
 * kept free, with the reserve, is for all else: acknowledgements and trims.
 *
 * The database's file never shrinks: what trims leave free in it is used again
 * before it grows. So there is room for
 *
 * ```text
 *   free on the disk
 * + what the file has free (taken when it last grew, less what is taken now)
 * - what its log may still grow by, before it is used again from the start
 * ```
 *
 * On a small disk mark and reserve are smaller: an eighth and a sixteenth of it.
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
  /** Bytes that are in the database or on their way to it, about. */
  takenBytes(): number;
  /** What is looked at: a seam for tests. */
  readonly meter?: DiskMeter;
}

const MIB = 1024 * 1024;
const RESERVE_BYTES_MAX = 32 * MIB;
const FREE_BYTES_MIN_MAX = 64 * MIB;
/** SQLite begins its log anew after 1,000 pages and the commit that goes beyond. */
const LOG_BYTES_MAX = 5 * MIB;
/** The database's own overhead on what is put into it. */
const OVERHEAD = 1.1;
const CHECK_EVERY_MS = 250;
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
  /** What was taken at the last look. */
  #takenAtCheck = 0;
  #freeBytes = Infinity;
  #totalBytes = Infinity;
  #logGrowth = 0;
  #databaseBytes = -1;
  /** What was taken when the database's file last grew: then nothing in it was free. */
  #takenAtGrowth = 0;
  #wasFull = false;
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
    this.#check();
    this.#takenAtGrowth = options.takenBytes() + unusedBytes;
    this.#planReserve();
  }

  /** Whether there is room for `bytes` of messages. Cheap: looks only now and then. */
  hasRoom(bytes = 0): boolean {
    if (this.#wake !== null) return false;
    const nowMs = this.#options.clock.monotonicMs();
    const taken = this.#options.takenBytes();
    if (
      nowMs - this.#checkedMs >= CHECK_EVERY_MS ||
      taken - this.#takenAtCheck >= CHECK_EVERY_BYTES
    ) {
      this.#check();
      this.#planReserve();
    }
    const room = this.#room(taken);
    if (room > this.#freeBytesMin + this.#reserveBytes) this.#wasFull = false;
    return !this.#wasFull && room - bytes * OVERHEAD > this.#freeBytesMin;
  }

  /**
   * The disk is full: gives the reserve up, or waits a little.
   *
   * @returns Whether to try again; `false` after {@link stopWaiting}.
   */
  async makeRoom(): Promise<boolean> {
    this.#wasFull = true;
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
      partOf(this.#totalBytes / 16, RESERVE_BYTES_MAX);
  }

  get #freeBytesMin(): number {
    return this.#options.freeBytesMin ??
      partOf(this.#totalBytes / 8, FREE_BYTES_MIN_MAX);
  }

  #room(taken: number): number {
    const unused = this.#takenAtGrowth - taken;
    const usable = unused < 0 ? unused * OVERHEAD : unused / OVERHEAD;
    return this.#freeBytes + usable - this.#logGrowth;
  }

  #check(): void {
    const taken = this.#options.takenBytes();
    const databaseBytes = this.#meter.databaseBytes();
    if (databaseBytes > this.#databaseBytes) {
      // It has grown since the last look, by what was taken at some moment since.
      this.#takenAtGrowth = Math.min(taken, this.#takenAtCheck);
      this.#databaseBytes = databaseBytes;
    }
    this.#checkedMs = this.#options.clock.monotonicMs();
    this.#takenAtCheck = taken;
    this.#freeBytes = this.#meter.freeBytes();
    this.#totalBytes = this.#meter.totalBytes();
    this.#logGrowth = Math.max(0, LOG_BYTES_MAX - this.#meter.logBytes());
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
    const bytes = this.#reserveBytes;
    if (bytes === 0 || !this.#isPatient || this.#reserve.isBeingMade) {
      return false;
    }
    const has = this.#reserve.bytes;
    return has < bytes && this.#meter.freeBytes() >= 2 * bytes - has;
  }
}

/** A whole number of bytes, the whole of `most` if the disk can't be measured. */
function partOf(bytes: number, most: number): number {
  return Math.floor(Math.min(bytes, most));
}
