/**
 * Expectations that many tests have.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Message, Mom, MomError } from "../../mod.ts";

/** Asserts that a promise rejects with a `MomError` of a code; gives it. */
export async function rejectsWith(
  code: MomError["code"],
  promise: Promise<unknown>,
): Promise<MomError> {
  let error: unknown;
  try {
    const value = await promise;
    error = new Error(`Expected ${code}, got ${String(value)}`);
  } catch (caught) {
    error = caught;
  }
  const { name, code: given } = error as MomError;
  if (name !== "MomError" || given !== code) throw error;
  return error as MomError;
}

/** The next `count` messages; fails when they do not come in time. */
export async function take(
  mom: Mom,
  count: number,
  timeoutMs = 10_000,
): Promise<Message[]> {
  const messages: Message[] = [];
  while (messages.length < count) {
    const max = Math.min(count - messages.length, 1_000);
    const more = await mom.receiveMany({ max, timeoutMs });
    if (more.length === 0) {
      assert.fail(
        `${mom.user} got ${messages.length} of ${count} messages, ` +
          `then nothing for ${timeoutMs} ms`,
      );
    }
    messages.push(...more);
  }
  return messages;
}

/** The values of the next `count` messages. */
export async function takeValues(
  mom: Mom,
  count: number,
  timeoutMs?: number,
): Promise<unknown[]> {
  return (await take(mom, count, timeoutMs)).map((message) => message.value);
}

/** How long nothing must come before it counts as nothing. */
const SILENCE_MS = 250;

/** Asserts that nothing waits for the user and nothing comes. */
export async function takesNothing(
  mom: Mom,
  timeoutMs: number = SILENCE_MS,
): Promise<void> {
  const message = await mom.receive({ timeoutMs });
  if (message === null) return;
  assert.fail(
    `${mom.user} got ${JSON.stringify(message.value)} on ${message.topic}`,
  );
}

/** The integers from 0 up to but without `count`. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
