/**
 * The root entry's own seal: it is stored as an object, so that any version can
 * read its format, and carries a CRC over all its fields.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import type { Root } from "./layout.ts";

/** A root as it is stored. */
export interface SealedRoot extends Root {
  /** CRC-32 over all other fields. */
  readonly crc: number;
}

/** The root with its seal. */
export function sealRoot(root: Root): SealedRoot {
  return { ...root, crc: crcOf(root) };
}

/** Whether what was read is what {@link sealRoot} gave. */
export function isSealedRoot(value: unknown): value is SealedRoot {
  if (typeof value !== "object" || value === null) return false;
  const root = value as Partial<SealedRoot>;
  if (!(root.id instanceof Uint8Array)) return false;
  return root.crc === crcOf(root as Root);
}

function crcOf(root: Root): number {
  const { format, id, epoch, role, foldedPosition, counters, file } = root;
  const fields = [
    format,
    id.toHex(),
    epoch,
    role,
    foldedPosition,
    counters,
    file ?? null,
  ];
  return crc32(JSON.stringify(fields));
}
