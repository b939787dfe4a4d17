/**
 * What a folder's disk has, and what the database's files take of it. Looks
 * only: opening the database's file beside the database would drop its locks.
 *
 * @module
 */

import { statfsSync } from "node:fs";
import { databaseBytes, logBytes } from "./folder.ts";

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

/** Size of the disk that `folder` is on; `Infinity` when that can't be known. */
export function totalBytes(folder: string): number {
  return measure(folder, ({ blocks, bsize }) => blocks * bsize);
}

/** Free bytes of the disk that `folder` is on; `Infinity` when that can't be known. */
export function freeBytes(folder: string): number {
  return measure(folder, ({ bavail, bsize }) => bavail * bsize);
}

function measure(
  folder: string,
  of: (disk: { blocks: number; bavail: number; bsize: number }) => number,
): number {
  try {
    return of(statfsSync(folder));
  } catch {
    // Without the permission, or on a file system that does not tell: the
    // failing commit tells.
    return Infinity;
  }
}
