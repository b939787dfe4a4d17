/**
 * Dialling with an end: by the caller, or because nobody answers.
 *
 * @module
 */

import type { ByteStream, Dialer } from "../protocol/byte_stream.ts";
import type { Clock } from "../protocol/clock.ts";
import { type ErrorCode, MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";

/** How it may end. */
export interface DialInTimeOptions {
  readonly clock: Clock;
  /** The caller's end. */
  readonly signal: AbortSignal;
  /** The code of the error when there is no answer in time. */
  readonly code: ErrorCode;
}

/**
 * Dials.
 *
 * @throws {MomError} With the code of the options when there is no answer in time;
 *   the signal's reason when that is aborted; what the dialler throws.
 */
export async function dialInTime(
  dialer: Dialer,
  address: string,
  { clock, signal, code }: DialInTimeOptions,
): Promise<ByteStream> {
  signal.throwIfAborted();
  const giveUp = new AbortController();
  const abort = () => giveUp.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const timer = clock.setTimer(LIMITS.helloMs, () =>
    giveUp.abort(
      new MomError(
        code,
        `Cannot connect to "${address}": no answer within ${LIMITS.helloMs} ms`,
      ),
    ));
  try {
    return await dialer.dial(address, { signal: giveUp.signal });
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", abort);
  }
}
