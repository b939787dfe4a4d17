/**
 * Clients in a shard's state: what they still wait for, and their end.
 *
 * @module
 */

import type { Reply } from "../replies.ts";
import type { Moment } from "./answers.ts";
import { giveBack } from "./semaphores.ts";
import type { Session, ShardState } from "./state.ts";

/** What a record says of its client's requests. */
interface Waiting {
  readonly upTo: number;
  readonly open: readonly number[];
}

/** Whether a request is one that its client does not wait for any more. */
export function isSettled(session: Session, request: number): boolean {
  return request <= session.upTo && !session.open.includes(request);
}

/**
 * Notes which requests a client still waits for. What it does not wait for any
 * more it never will again, so records may come in any order: answers to that are
 * forgotten, and a `wait` still in a queue is taken out.
 */
export function settle(
  state: ShardState,
  session: Session,
  { upTo, open }: Waiting,
): void {
  const isWaited = (request: number) =>
    !isSettled(session, request) && (request > upTo || open.includes(request));
  const known = [...new Set([...session.open, ...open])];
  const top = Math.max(session.upTo, upTo);
  const stillOpen = known.filter((each) => each <= top && isWaited(each));
  state.setOpen(session, top, stillOpen.sort((a, b) => a - b));
  for (const request of [...session.answers.keys()]) {
    if (isSettled(session, request)) forget(state, session, request);
  }
  for (const request of [...session.waits.keys()]) {
    if (isSettled(session, request)) state.dequeue(session, request);
  }
}

/**
 * Ends a session: it leaves the queues, then what it holds is given back.
 *
 * @returns What others are told because of that.
 */
export function endSession(
  state: ShardState,
  session: Session,
  moment: Moment,
): Reply[] {
  for (const request of [...session.waits.keys()]) {
    state.dequeue(session, request);
  }
  const permits = [...session.permits.values()];
  for (const permit of permits) state.removePermit(session, permit);
  state.removeSession(session);
  return permits.flatMap(({ name }) => giveBack(state, name, moment));
}

/** The client has heard the answer; what it consumed is gone for good now. */
function forget(state: ShardState, session: Session, request: number): void {
  state.removeAnswer(session, request);
  for (const permit of [...session.permits.values()]) {
    if (permit.request === request && permit.consume) {
      state.removePermit(session, permit);
    }
  }
}
