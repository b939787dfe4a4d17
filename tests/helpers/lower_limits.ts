/**
 * Limits that a test can reach: to reach the real ones takes a gigabyte.
 *
 * @module
 */

import { LIMITS } from "../../protocol/limits.ts";

/** Runs something while some limits are lower than they are; nothing else may run meanwhile. */
export async function withLowerLimits(
  limits: Partial<Record<keyof typeof LIMITS, number>>,
  run: () => Promise<void>,
): Promise<void> {
  const table: Record<string, number> = LIMITS;
  const before = { ...LIMITS };
  Object.assign(table, limits);
  try {
    await run();
  } finally {
    Object.assign(table, before);
  }
}
