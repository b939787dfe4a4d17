/**
 * Counting.
 *
 * @module
 */

/** From 0 on. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
