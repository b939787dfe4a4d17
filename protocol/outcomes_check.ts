/**
 * What the outcomes of an app can be (PROTOCOL 7.4, 7.9).
 *
 * @module
 */

import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { OUTCOME } from "./messages.ts";

/**
 * Refuses custody, which only a daemon takes.
 *
 * @throws {MomError} `bad_message`.
 */
export function checkNoCustody(outcomes: readonly number[]): void {
  for (let i = 0; i < outcomes.length; i += 4) {
    if (outcomes[i] !== OUTCOME.custody) continue;
    throw new MomError(
      "bad_message",
      `Cannot take outcomes: range ${
        i / 4
      } is in custody, which only a daemon takes`,
    );
  }
}

/**
 * Refuses a list of more messages than a handle can have in its hands.
 *
 * @throws {MomError} `bad_message`.
 */
export function checkKnown(known: readonly number[]): void {
  let offsets = 0;
  for (let i = 0; i < known.length; i += 4) {
    offsets += known[i + 3] - known[i + 2];
    if (offsets <= LIMITS.knownOffsets) continue;
    throw new MomError(
      "bad_message",
      `Cannot attach: field "known" lists more than ${LIMITS.knownOffsets} messages`,
    );
  }
}
