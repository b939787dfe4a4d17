/**
 * What a folder's disk has, and what the database's files take of it. Looks
 * only: opening the database's file beside the database would drop its locks.
 *
 * @module
 */

import type { Clock } from "../protocol/clock.ts";
import { databaseBytes, filesBytes, logBytes } from "./folder.ts";
import { freeBytes, totalBytes } from "./free_bytes.ts";

/** Between two looks at the size of all files. */
const FILES_EVERY_MS = 250;

/** What is looked at. */
export interface DiskMeter {
  /** Size of the disk; `Infinity` when that can't be known. */
  totalBytes(): number;
  /** What is free; `Infinity` when that can't be known. */
  freeBytes(): number;
  /** Size of the database's file. It never shrinks. */
  databaseBytes(): number;
  /** Size of the database's log. It grows up to a size and is used again. */
  logBytes(): number;
}

/** The meter of a folder. */
export function meterOf(folder: string): DiskMeter {
  return {
    totalBytes: () => totalBytes(folder),
    freeBytes: () => freeBytes(folder),
    databaseBytes: () => databaseBytes(folder),
    logBytes: () => logBytes(folder),
  };
}

/** Size of the database's files in a folder, at most 250 ms old. */
export function filesMeterOf(folder: string, clock: Clock): () => number {
  let bytes = 0;
  let lookedMs = -Infinity;
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedMs >= FILES_EVERY_MS) {
      lookedMs = nowMs;
      bytes = filesBytes(folder);
    }
    return bytes;
  };
}
