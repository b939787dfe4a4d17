/**
 * Who answers, as the log decides it.
 *
 * @module
 */

import type { LogRecord } from "../records.ts";
import type { Reply } from "../replies.ts";
import { answersSince } from "./answers.ts";
import type { ShardState } from "./state.ts";

type Of<Kind> = Extract<LogRecord, { kind: Kind }>;

/** The holder says that it is there. Of anybody else it is void. */
export function renewLease(
  state: ShardState,
  { coordinator, incarnation, answered }: Of<"lease">,
  offset: number,
): void {
  const { leader } = state;
  if (leader === null || !isSame(leader, { coordinator, incarnation })) return;
  leader.renewal = offset;
  leader.answered = Math.max(leader.answered, Math.min(answered, offset));
}

/**
 * Another one takes the lease; void if a renewal or take-over came that it did not
 * know of.
 *
 * @returns What the one before may not have sent: to be sent once more.
 */
export function takeOver(
  state: ShardState,
  { coordinator, incarnation, renewal }: Of<"takeover">,
  offset: number,
): Reply[] {
  const { leader } = state;
  if ((leader?.renewal ?? null) !== renewal) return [];
  const answered = leader?.answered ?? -1;
  state.leader = { coordinator, incarnation, renewal: offset, answered };
  return answersSince(state, answered);
}

/** Whether two are the same life of the same coordinator. */
export function isSame(
  one: { coordinator: number; incarnation: string },
  other: { coordinator: number; incarnation: string },
): boolean {
  return one.coordinator === other.coordinator &&
    one.incarnation === other.incarnation;
}
