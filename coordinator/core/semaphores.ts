/**
 * Semaphores in a shard's state: who is let in, and what is given back.
 *
 * @module
 */

import type { Reply } from "../replies.ts";
import { answer, type Moment } from "./answers.ts";
import type {
  PermitEntry,
  Semaphore,
  Session,
  ShardState,
  Waiter,
} from "./state.ts";

/** The largest value of a semaphore. */
export const SEMAPHORE_MAX = Number.MAX_SAFE_INTEGER;

/** Lets in who is next: the grant has a token greater than any before. */
export function grant(
  state: ShardState,
  semaphore: Semaphore,
  session: Session,
  { request, consume }: Pick<Waiter, "request" | "consume">,
  moment: Moment,
): Reply {
  const token = ++state.tokens;
  const { name } = semaphore;
  state.addPermit(session, { token, name, request, consume });
  const outcome = { outcome: "done", result: token } as const;
  return answer(state, session, { request, ...moment, outcome });
}

/** Lets in the oldest who waits, or raises the value; of no semaphore: nothing. */
export function giveBack(
  state: ShardState,
  name: string,
  moment: Moment,
): Reply[] {
  const semaphore = state.semaphores.get(name);
  if (semaphore === undefined) return [];
  const [waiter] = semaphore.waiters;
  const session = waiter && state.sessions.get(waiter.client);
  if (waiter === undefined || session === undefined) {
    semaphore.value = Math.min(semaphore.value + 1, SEMAPHORE_MAX);
    return [];
  }
  state.dequeue(session, waiter.request);
  return [grant(state, semaphore, session, waiter, moment)];
}

/**
 * Ends a semaphore: all who wait are told, and permits are worth nothing any more.
 *
 * @returns What those who waited are told.
 */
export function destroySemaphore(
  state: ShardState,
  semaphore: Semaphore,
  moment: Moment,
): Reply[] {
  const { name } = semaphore;
  const replies: Reply[] = [];
  for (const { client, request } of [...semaphore.waiters]) {
    const session = state.sessions.get(client);
    if (session === undefined) continue;
    state.dequeue(session, request);
    const outcome = {
      outcome: "failed",
      code: "destroyed",
      message: `Cannot wait for semaphore "${name}": it was destroyed`,
    } as const;
    replies.push(answer(state, session, { request, ...moment, outcome }));
  }
  for (const session of state.sessions.values()) {
    for (const permit of [...session.permits.values()]) {
      if (permit.name === name) state.removePermit(session, permit);
    }
  }
  state.removeSemaphore(semaphore);
  return replies;
}

/** The permit of a session that a `wait` was answered with. */
export function permitOf(
  session: Session,
  request: number,
): PermitEntry | null {
  for (const permit of session.permits.values()) {
    if (permit.request === request) return permit;
  }
  return null;
}

/** The oldest permit that a session has of a semaphore. */
export function oldestPermit(
  session: Session,
  name: string,
): PermitEntry | null {
  for (const permit of session.permits.values()) {
    if (permit.name === name) return permit;
  }
  return null;
}
