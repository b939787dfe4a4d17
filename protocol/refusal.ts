/**
 * What the other side is told of a failure.
 *
 * @module
 */

import { MomError } from "./errors.ts";

/** The error that answers whatever was thrown. */
export function refusalOf(error: unknown): MomError {
  if (error instanceof MomError) return error;
  // A defect of ours: the other side hears that it is one, and it is not hidden here.
  return new MomError("internal", "Cannot handle message: internal error", {
    cause: error,
  });
}
