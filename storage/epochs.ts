/**
 * Epochs: each tells one history of a store from another that began with the
 * same commits, so that (epoch, log, offset) names one message for ever.
 *
 * A later epoch is larger than those it is known to come after, by a random
 * step: two that go on from the same backup differ all the same.
 *
 * @module
 */

import type { Entropy } from "../protocol/clock.ts";
import { EPOCH_MAX } from "../protocol/log_id.ts";

/** The first one leaves room above. */
const FIRST_MAX = 2 ** 31 - 1;
const STEP_MAX = 2 ** 26;

/** The epoch of a new store. */
export function firstEpoch(entropy: Entropy): number {
  return 1 + randomBelow(FIRST_MAX, entropy);
}

/** An epoch that is none of `known`; larger than all of them while there is room. */
export function laterEpoch(
  known: readonly number[],
  entropy: Entropy,
): number {
  const next = Math.max(0, ...known) + 1 + randomBelow(STEP_MAX, entropy);
  if (next <= EPOCH_MAX) return next;
  while (true) {
    const epoch = 1 + randomBelow(EPOCH_MAX, entropy);
    if (!known.includes(epoch)) return epoch;
  }
}

function randomBelow(limit: number, entropy: Entropy): number {
  const bytes = entropy.bytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) % limit;
}
