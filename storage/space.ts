/**
 * The disk's free space: below a mark nothing is appended any more, and a
 * reserve file is given up when the disk is full, so that deletions go on.
 *
 * @module
 */

import { statfsSync } from "node:fs";
import type { Clock, Timer } from "../protocol/clock.ts";

/** What is watched, and its numbers. */
export interface SpaceOptions {
  /** The store's folder. */
  readonly folder: string;
  /** Time. */
  readonly clock: Clock;
  /** Size of the reserve file; 0 for none. */
  readonly reserveBytes: number;
  /** The mark: appending needs more free bytes than this. */
  readonly freeBytesMin: number;
  /** Bytes that the database's file has and does not use, about: it never shrinks. */
  reusableBytes(): number;
}

const CHECK_EVERY_MS = 250;
/** The reserve is written when a store lives longer than this. */
const RESERVE_DELAY_MS = 1000;
const RESERVE_PIECE_BYTES = 1024 * 1024;

/** The free space of one folder's disk. */
export class Space {
  readonly #options: SpaceOptions;
  readonly #path: string;
  #checkedMs = -Infinity;
  #freeBytes = Infinity;
  #wasFull = false;
  #hasReserve = false;
  #timer: Timer | null = null;
  #writing: Promise<void> | null = null;
  #isClosed = false;

  /** Begins to watch; the reserve is made a little later. */
  constructor(options: SpaceOptions) {
    this.#options = options;
    this.#path = `${options.folder}/reserve`;
    this.#hasReserve = this.#reserveSize() === options.reserveBytes;
    this.#planReserve();
  }

  /** Whether there is room for more messages. Cheap: looks at most every 250 ms. */
  hasRoom(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#checkedMs >= CHECK_EVERY_MS) {
      this.#checkedMs = nowMs;
      this.#look();
    }
    return !this.#wasFull && this.#freeBytes > this.#options.freeBytesMin;
  }

  #look(): void {
    const { folder, freeBytesMin, reserveBytes } = this.#options;
    const onDisk = freeBytes(folder);
    const reusable = this.#options.reusableBytes();
    this.#freeBytes = onDisk + reusable;
    // After a full disk be sure: what is reusable is an estimate.
    if (onDisk + reusable / 2 <= freeBytesMin + 2 * reserveBytes) return;
    this.#wasFull = false;
    if (!this.#hasReserve) this.#planReserve();
  }

  /**
   * The disk is full: gives the reserve up.
   *
   * @returns Whether there was one.
   */
  async giveUpReserve(): Promise<boolean> {
    this.#wasFull = true;
    this.#checkedMs = this.#options.clock.monotonicMs();
    this.#timer?.cancel();
    this.#timer = null;
    await this.#writing;
    this.#hasReserve = false;
    return removeReserve(this.#options.folder);
  }

  /** Ends the watch; the reserve stays. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#writing;
  }

  #planReserve(): void {
    const { clock, reserveBytes, folder } = this.#options;
    if (reserveBytes === 0 || this.#hasReserve || this.#isClosed) return;
    if (this.#timer !== null || this.#writing !== null) return;
    if (freeBytes(folder) < 4 * reserveBytes) return;
    this.#timer = clock.setTimer(RESERVE_DELAY_MS, () => {
      this.#timer = null;
      this.#writing = this.#writeReserve().finally(() => this.#writing = null);
    });
  }

  async #writeReserve(): Promise<void> {
    const zeros = new Uint8Array(RESERVE_PIECE_BYTES);
    try {
      using file = await Deno.open(this.#path, {
        write: true,
        create: true,
        truncate: true,
        mode: 0o600,
      });
      let left = this.#options.reserveBytes;
      while (left > 0 && !this.#isClosed) {
        left -= await file.write(zeros.subarray(0, left));
      }
      this.#hasReserve = left === 0;
    } catch {
      // A disk without room for a reserve has none; what is there of it still
      // helps when it is given up.
      this.#hasReserve = false;
    }
  }

  #reserveSize(): number {
    try {
      return Deno.statSync(this.#path).size;
    } catch {
      // Not there, or not to be seen: none.
      return 0;
    }
  }
}

/**
 * Deletes a folder's reserve file.
 *
 * @returns Whether there was one.
 */
export function removeReserve(folder: string): boolean {
  try {
    Deno.removeSync(`${folder}/reserve`);
    return true;
  } catch {
    // Nothing there to give up.
    return false;
  }
}

/** Free bytes of the disk that `folder` is on; `Infinity` when that can't be known. */
export function freeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return Number(bavail) * Number(bsize);
  } catch {
    // Without the permission, or on a file system that does not tell: the
    // failing commit tells.
    return Infinity;
  }
}
