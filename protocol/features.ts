/**
 * What version 1 has beside what every side must know (PROTOCOL 3.8): a feature
 * counts for a connection if both sides named it.
 *
 * @module
 */

import { MomError } from "./errors.ts";

/** The features that this code knows. */
export const FEATURE = {
  /** BUNDLE and DELIVER_BUNDLE. */
  bundles: "bundles",
} as const;

/** All of them, as HELLO names them. */
export const FEATURES: readonly string[] = Object.values(FEATURE);

/** Those that both sides know. */
export function agreed(
  ours: readonly string[],
  theirs: readonly string[],
): string[] {
  return ours.filter((each) => theirs.includes(each));
}

/** The answer to a message of a feature that was not agreed. */
export function notAgreed(message: string): MomError {
  return new MomError(
    "unsupported",
    `Cannot take ${message}: its feature was not agreed on`,
  );
}
