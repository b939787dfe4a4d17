/**
 * Values as messages carry them: their equality, their size, how deep they are.
 *
 * @module
 */

import { utf8Bytes } from "../records.ts";

/**
 * Whether two values are the same: of the same kind, with the same content. The
 * order of an object's keys does not count; `1` and `1n`, `null` and `undefined`,
 * `0` and `-0` are different; `NaN` is equal to itself.
 */
export function isEqual(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (!isObject(one) || !isObject(other)) return false;
  if (one instanceof Uint8Array || other instanceof Uint8Array) {
    return one instanceof Uint8Array && other instanceof Uint8Array &&
      one.length === other.length && one.every((byte, i) => byte === other[i]);
  }
  if (one instanceof Date || other instanceof Date) {
    return one instanceof Date && other instanceof Date &&
      one.getTime() === other.getTime();
  }
  if (Array.isArray(one) || Array.isArray(other)) {
    return Array.isArray(one) && Array.isArray(other) &&
      one.length === other.length &&
      one.every((item, i) => isEqual(item, other[i]));
  }
  return areMapsEqual(one, other);
}

/** Roughly what a value takes in a snapshot, and never less. */
export function sizeOf(value: unknown): number {
  if (typeof value === "string") return utf8Bytes(value) + 5;
  if (!isObject(value)) return 9;
  if (value instanceof Uint8Array) return value.length + 9;
  if (value instanceof Date) return 10;
  let bytes = 9;
  if (Array.isArray(value)) {
    for (const item of value) bytes += sizeOf(item);
    return bytes;
  }
  for (const [key, item] of Object.entries(value)) {
    bytes += utf8Bytes(key) + 5 + sizeOf(item);
  }
  return bytes;
}

/** How many arrays and objects are inside one another. */
export function depthOf(value: unknown): number {
  if (
    !isObject(value) || value instanceof Uint8Array || value instanceof Date
  ) return 0;
  let depth = 0;
  for (const item of Object.values(value)) {
    depth = Math.max(depth, depthOf(item));
  }
  return depth + 1;
}

function areMapsEqual(
  one: Record<string, unknown>,
  other: Record<string, unknown>,
): boolean {
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length &&
    keys.every((key) =>
      Object.hasOwn(other, key) && isEqual(one[key], other[key])
    );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
