/**
 * What Deno KV's failures mean. They come as plain errors without a code, so
 * this one file looks at their texts.
 *
 * @module
 */

import { type ErrorCode, MomError } from "../protocol/errors.ts";

const CODES: readonly (readonly [text: string, code: ErrorCode])[] = [
  ["database or disk is full", "storage_full"],
  ["No space left on device", "storage_full"],
  ["file is not a database", "data_damaged"],
  ["database disk image is malformed", "data_damaged"],
  ["unable to open database file", "store_unavailable"],
];

/** The code for a failure of Deno KV; `store_unavailable` if its text says nothing. */
export function kvErrorCode(error: unknown): ErrorCode {
  if (error instanceof MomError) return error.code;
  const text = error instanceof Error ? error.message : String(error);
  return CODES.find(([part]) => text.includes(part))?.[1] ??
    "store_unavailable";
}

/** Whether a commit failed, without effect, because another handle was just writing. */
export function isKvBusy(error: unknown): boolean {
  return error instanceof Error && error.message.includes("database is locked");
}

/** Whether a read failed because of what lies there, and not of the disk or the handle. */
export function isDamage(error: unknown): boolean {
  const code = kvErrorCode(error);
  if (code !== "store_unavailable") return code === "data_damaged";
  if (error instanceof MomError || isKvBusy(error)) return false;
  // A row whose columns make no sense is refused with many texts.
  return error instanceof Error && !error.message.includes("disk I/O error") &&
    !(error instanceof Deno.errors.BadResource) &&
    !(error instanceof Deno.errors.Interrupted);
}

/** A failure to read as a `MomError`. */
export function toReadError(error: unknown, action: string): MomError {
  const known = toStoreError(error, action);
  return isDamage(error) && known.code !== "data_damaged"
    ? new MomError("data_damaged", known.message, { cause: error })
    : known;
}

/**
 * A failure of Deno KV as a `MomError`; a `MomError` stays what it is.
 *
 * @param action What was being done: "Cannot ACTION: reason".
 */
export function toStoreError(error: unknown, action: string): MomError {
  if (error instanceof MomError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new MomError(kvErrorCode(error), `Cannot ${action}: ${reason}`, {
    cause: error,
  });
}
