/**
 * Numbers about numbers. Pure.
 *
 * @module
 */

/** The least, the middle and the greatest of some repetitions. */
export interface Spread {
  min: number;
  median: number;
  max: number;
}

/** @throws {RangeError} If there is no number. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = sortedNumbers(values);
  return {
    min: sorted[0]!,
    median: medianOf(sorted),
    max: sorted[sorted.length - 1]!,
  };
}

/** The middle one, or half way between the two in the middle. */
export function medianOf(values: readonly number[]): number {
  const sorted = sortedNumbers(values);
  const high = sorted.length >> 1;
  const low = (sorted.length - 1) >> 1;
  return (sorted[low]! + sorted[high]!) / 2;
}

/**
 * The smallest value that at least `share` of all do not exceed.
 *
 * @param share From 0 to 1.
 */
export function percentileOf(values: readonly number[], share: number): number {
  const sorted = sortedNumbers(values);
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!;
}

/** Name by name; a name that is missing in some counts where it is. */
export function mediansByName(
  maps: readonly Record<string, number>[],
): Record<string, number> {
  const names = new Set(maps.flatMap(Object.keys));
  return Object.fromEntries([...names].map((name) => {
    const values = maps.map((map) => map[name]).filter((n) => n !== undefined);
    return [name, medianOf(values)];
  }));
}

function sortedNumbers(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError("Cannot rank no numbers");
  return [...values].sort((a, b) => a - b);
}
