/**
 * Items that were appended together because their records take turns: in front of
 * the meta of each stands its place among them (PROTOCOL 8.12). An item without one
 * has its meta alone, which is a CBOR array.
 *
 * ```text
 * 0  bundle  left  bytes of the ranks  ranks, each as what it is above the last  meta
 * ```
 *
 * @module
 */

import type { Ranks } from "../protocol/bundle.ts";
import { VarintReader, varintSize, writeVarint } from "./varint.ts";

/** The place of an item in its bundle. */
export interface BundlePlace {
  /** The same for all items of a bundle, another one for others of that commit. */
  readonly bundle: number;
  /** How many items of it come behind this one. */
  readonly left: number;
  /** The places of its records. */
  readonly ranks: Ranks;
}

/** No CBOR array begins with it. */
const PLACE_FOLLOWS = 0;

/** A meta with a place in front of it. */
export function withPlace(
  meta: Uint8Array,
  { bundle, left, ranks }: BundlePlace,
): Uint8Array {
  let size = 0;
  let last = 0;
  for (let i = 0; i < ranks.length; i++) {
    size += varintSize(ranks[i] - last);
    last = ranks[i];
  }
  const head = 1 + varintSize(bundle) + varintSize(left) + varintSize(size);
  const bytes = new Uint8Array(head + size + meta.length);
  bytes[0] = PLACE_FOLLOWS;
  let at = writeVarint(bytes, 1, bundle);
  at = writeVarint(bytes, at, left);
  at = writeVarint(bytes, at, size);
  last = 0;
  for (let i = 0; i < ranks.length; i++) {
    at = writeVarint(bytes, at, ranks[i] - last);
    last = ranks[i];
  }
  bytes.set(meta, at);
  return bytes;
}

/** The inverse of {@linkcode withPlace}. */
export function splitPlace(
  bytes: Uint8Array,
): { place: BundlePlace | null; meta: Uint8Array } {
  if (bytes[0] !== PLACE_FOLLOWS) return { place: null, meta: bytes };
  const reader = new VarintReader(bytes, 1);
  const bundle = reader.next();
  const left = reader.next();
  const ranks = readRanks(reader.bytes(reader.next()));
  const meta = bytes.subarray(reader.at);
  return { place: { bundle, left, ranks }, meta };
}

/** An item as far as its place tells with which others it was appended. */
interface Placed {
  readonly position: number;
  readonly meta: Uint8Array;
}

/** What reading gives; a range that is damaged has no place. */
type Result = Placed | { readonly damaged: true };

/** Where the bundle ends that begins at an index; right behind it if that is of none. */
export function bundleEnd(results: readonly Result[], index: number): number {
  const first = headOf(results[index]);
  let end = index + 1;
  while (first !== null && isSame(first, headOf(results[end]))) end++;
  return end;
}

/** Where a bundle begins at the end of what was read, if there may be more of it. */
export function tornFrom(results: readonly Result[]): number {
  const last = headOf(results.at(-1));
  let begin = results.length;
  if (last === null || last.left === 0) return begin;
  while (isSame(last, headOf(results[begin - 1]))) begin--;
  return begin;
}

interface Head {
  readonly position: number;
  readonly bundle: number;
  readonly left: number;
}

function headOf(result: Result | undefined): Head | null {
  if (result === undefined || "damaged" in result) return null;
  const { position, meta } = result;
  if (meta[0] !== PLACE_FOLLOWS) return null;
  const reader = new VarintReader(meta, 1);
  return { position, bundle: reader.next(), left: reader.next() };
}

function isSame(a: Head, b: Head | null): boolean {
  return a.bundle === b?.bundle && a.position === b.position;
}

function readRanks(bytes: Uint8Array): Ranks {
  const ranks = new Uint16Array(bytes.length);
  const reader = new VarintReader(bytes);
  let count = 0;
  let rank = 0;
  while (!reader.isAtEnd) ranks[count++] = rank += reader.next();
  return ranks.subarray(0, count);
}
