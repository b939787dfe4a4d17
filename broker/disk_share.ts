/**
 * The share of a disk that a store may take.
 *
 * @module
 */

import { statfsSync } from "node:fs";

/** Part of the disk that messages may take unless told otherwise. */
const SHARE = 0.5;

/** How many bytes the messages in a folder may take; infinite where the disk cannot be measured. */
export function diskShareOf(folder: string): number {
  try {
    const { blocks, bsize } = statfsSync(folder);
    return Math.floor(blocks * bsize * SHARE);
  } catch {
    // Not allowed, or no such thing here: then the free space is watched alone.
    return Infinity;
  }
}
