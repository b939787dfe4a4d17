/**
 * How large a disk is, and what of it is free.
 *
 * @module
 */

import { statfsSync } from "node:fs";

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
