/**
 * Answers: kept in the state until their client has heard them, so that a request
 * that comes again is answered again and not executed again.
 *
 * @module
 */

import type { Reply } from "../replies.ts";
import type { Answer, Session, ShardState } from "./state.ts";

/** Where in the log something happens. */
export interface Moment {
  readonly offset: number;
  readonly time: number;
}

/** Answers a request, and keeps the answer until its client has heard it. */
export function answer(
  state: ShardState,
  session: Session,
  given: Answer,
): Reply {
  state.addAnswer(session, given);
  return toReply(session, given);
}

/** An answer as a reply. */
export function toReply(session: Session, given: Answer): Reply {
  const { client, session: number } = session;
  return { client, session: number, ...given };
}

/** The answers given behind an offset, in the order of the log. */
export function answersSince(state: ShardState, offset: number): Reply[] {
  const replies: Reply[] = [];
  for (const session of state.sessions.values()) {
    for (const given of session.answers.values()) {
      if (given.offset > offset) replies.push(toReply(session, given));
    }
  }
  return replies.sort((a, b) => a.offset - b.offset);
}
