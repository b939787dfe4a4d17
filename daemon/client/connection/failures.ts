/**
 * Why a try failed, and whether another one could do better.
 *
 * @module
 */

import { type AddressLike, formatAddress } from "../../../protocol/address.ts";
import { type ErrorCode, MomError } from "../../../protocol/errors.ts";

/** The user is gone, or somebody else's: the handle is at its end. */
const FINAL_LATER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unauthorized",
  "protocol_version",
  "name_in_use",
  "user_expired",
]);
/** At the first attempt, what the other side cannot do it will not learn. */
const FINAL_AT_FIRST: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...FINAL_LATER,
  "name_invalid",
  "bad_frame",
  "bad_message",
  "unsupported",
  "option_invalid",
]);

/**
 * Whether trying again does not help.
 *
 * @param wasAttached Whether the other side has had the user before.
 */
export function isFinal(reason: MomError, wasAttached: boolean): boolean {
  if (wasAttached) return FINAL_LATER.has(reason.code);
  return FINAL_AT_FIRST.has(reason.code) ||
    reason.cause instanceof Deno.errors.NotCapable;
}

/** What a try ended with, as apps are told it. */
export function toMomError(error: unknown, address: AddressLike): MomError {
  if (error instanceof MomError) return error;
  if (!(error instanceof Error)) throw error;
  const cause = error.cause instanceof Error ? error.cause : error;
  return new MomError(
    "daemon_unavailable",
    `Cannot connect to "${formatAddress(address)}": ${cause.message}`,
    { cause },
  );
}
