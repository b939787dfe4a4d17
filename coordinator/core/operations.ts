/**
 * What each operation does to a shard's state.
 *
 * @module
 */

import { COORDINATOR_LIMITS } from "../limits.ts";
import type { Request } from "../records.ts";
import type { Outcome, RefusalCode, Reply } from "../replies.ts";
import { canonicalName, shardOf } from "../topics.ts";
import { answer, type Moment } from "./answers.ts";
import {
  destroySemaphore,
  giveBack,
  grant,
  oldestPermit,
  permitOf,
  SEMAPHORE_MAX,
} from "./semaphores.ts";
import type { Semaphore, Session, ShardState } from "./state.ts";
import { depthOf, isEqual, sizeOf } from "./value.ts";

/** Requests that are for a session itself are none of these. */
export type Operation = Exclude<Request, { op: "hello" | "leave" }>;

/** What is done to a resource. */
type NamedOperation = Exclude<Operation, { op: "semaphore_cancel" }>;

/** What an operation came to, and whom else it let go on. */
interface Result {
  /** `null`: it is answered later. */
  readonly outcome: Outcome | null;
  readonly others?: readonly Reply[];
  /** Whether it is as well executed again if it comes again. @default {false} */
  readonly isForgotten?: boolean;
}

const DONE: Result = { outcome: { outcome: "done", result: null } };

/** Where an operation is executed, and for whom. */
interface Place {
  readonly state: ShardState;
  readonly session: Session;
  readonly moment: Moment;
  readonly request: number;
  /** The resource's name as it is kept. */
  readonly name: string;
}

/** Executes one operation. */
export function execute(
  state: ShardState,
  session: Session,
  operation: Operation,
  moment: Moment,
): Reply[] {
  const { request } = operation;
  const name = "name" in operation ? canonicalName(operation.name) : "";
  const place = { state, session, moment, request, name };
  const { outcome, others = [], isForgotten } = perform(place, operation);
  if (outcome === null) return [...others];
  const given = { request, ...moment, outcome };
  if (isForgotten) {
    const { client, session: number } = session;
    return [...others, { client, session: number, ...given }];
  }
  return [...others, answer(state, session, given)];
}

/**
 * Takes back a `wait`: out of the queue, or gives back what it was granted. Done
 * before the client's word that it does not wait any more, which would let the
 * grant of one that consumes pass as heard.
 */
export function cancel(
  state: ShardState,
  session: Session,
  target: number,
  moment: Moment,
): Reply[] {
  state.dequeue(session, target);
  const permit = permitOf(session, target);
  if (permit === null) return [];
  state.removePermit(session, permit);
  return giveBack(state, permit.name, moment);
}

function perform(place: Place, operation: Operation): Result {
  // All that it does is done already.
  if (operation.op === "semaphore_cancel") return DONE;
  return refuseForeign(place, operation) ?? performNamed(place, operation);
}

function performNamed(place: Place, operation: NamedOperation): Result {
  switch (operation.op) {
    case "semaphore_init":
      return initSemaphore(place, operation.value);
    case "semaphore_wait":
      return wait(place, operation.consume);
    case "semaphore_signal":
      return signal(place);
    case "semaphore_release":
      return release(place, operation.token);
    case "semaphore_destroy":
      return withSemaphore(place, (semaphore) => ({
        ...DONE,
        others: destroySemaphore(place.state, semaphore, place.moment),
      }));
    case "value_init":
      return initValue(place, operation.value);
    case "value_read":
      return withValue(place, (value) => ({
        outcome: { outcome: "done", result: value },
        isForgotten: sizeOf(value) > COORDINATOR_LIMITS.answerBytes,
      }));
    case "value_write":
      return withValue(place, () => putValue(place, operation.value));
    case "value_compare_and_set":
      return compareAndSet(place, operation.expected, operation.value);
    case "value_destroy":
      return withValue(place, () => {
        place.state.removeValue(place.name);
        return DONE;
      });
    default:
      return operation satisfies never;
  }
}

/** A client with another number of shards, or another hash, would split a resource. */
function refuseForeign(
  { state, name }: Place,
  operation: NamedOperation,
): Result | null {
  if (shardOf(name, state.of) === state.shard) return null;
  return failed(
    "bad_message",
    `Cannot do ${operation.op}: "${name}" belongs to shard ${
      shardOf(name, state.of)
    }, not ${state.shard}`,
  );
}

function initSemaphore(place: Place, value: unknown): Result {
  const { state, name } = place;
  const doing = `init semaphore "${name}"`;
  if (!isCount(value)) {
    return failed(
      "option_invalid",
      `Cannot ${doing}: its value must be an integer of at least 0`,
    );
  }
  if (state.semaphores.has(name)) {
    return failed("exists", `Cannot ${doing}: there is one`);
  }
  if (isFull(state)) return full(doing);
  state.addSemaphore(name, value, state.tokens);
  return DONE;
}

function wait(place: Place, consume: boolean): Result {
  const { state, session, request, moment } = place;
  return withSemaphore(place, (semaphore) => {
    if (isFull(state)) return full(`wait for semaphore "${place.name}"`);
    if (semaphore.value === 0) {
      state.enqueue(semaphore, session, request, consume);
      return { outcome: null };
    }
    semaphore.value--;
    const waiter = { request, consume };
    const granted = grant(state, semaphore, session, waiter, moment);
    return { outcome: null, others: [granted] };
  });
}

/**
 * As the original's: nobody need hold anything. Who does hold a permit gives it
 * back in this way too, or its end would give it back once more.
 */
function signal(place: Place): Result {
  const { state, session, name, moment } = place;
  return withSemaphore(place, (semaphore) => {
    if (semaphore.value === SEMAPHORE_MAX) {
      return failed(
        "option_invalid",
        `Cannot signal semaphore "${name}": its value is at the limit`,
      );
    }
    const permit = oldestPermit(session, name);
    if (permit !== null) state.removePermit(session, permit);
    return { ...DONE, others: giveBack(state, name, moment) };
  });
}

function release(place: Place, token: number): Result {
  const { state, session, name, moment } = place;
  const doing = `release permit ${token} of semaphore "${name}"`;
  const semaphore = state.semaphores.get(name);
  if (semaphore === undefined || semaphore.born >= token) {
    return failed("destroyed", `Cannot ${doing}: the semaphore was destroyed`);
  }
  const permit = session.permits.get(token);
  if (permit === undefined || permit.name !== name) {
    return failed("lease_lost", `Cannot ${doing}: it is not held any more`);
  }
  state.removePermit(session, permit);
  return { ...DONE, others: giveBack(state, name, moment) };
}

function initValue(place: Place, value: unknown): Result {
  const { state, name } = place;
  if (state.values.has(name)) {
    return failed("exists", `Cannot init value "${name}": there is one`);
  }
  return putValue(place, value);
}

function compareAndSet(
  place: Place,
  expected: unknown,
  value: unknown,
): Result {
  return withValue(place, (current) => {
    if (!isEqual(current, expected)) {
      return { outcome: { outcome: "done", result: false } };
    }
    const put = putValue(place, value);
    return put === DONE ? { outcome: { outcome: "done", result: true } } : put;
  });
}

function putValue({ state, name }: Place, value: unknown): Result {
  const { valueBytes, valueDepth } = COORDINATOR_LIMITS;
  const doing = `store value "${name}"`;
  const bytes = sizeOf(value);
  if (bytes > valueBytes) {
    return failed(
      "message_too_large",
      `Cannot ${doing}: it has some ${bytes} bytes, at most ${valueBytes}`,
    );
  }
  if (depthOf(value) > valueDepth) {
    return failed(
      "value_unsupported",
      `Cannot ${doing}: it is more than ${valueDepth} levels deep`,
    );
  }
  const before = sizeOf(state.values.get(name));
  if (bytes > before && isFull(state, bytes)) return full(doing);
  state.setValue(name, value);
  return DONE;
}

function withSemaphore(
  { state, name }: Place,
  act: (semaphore: Semaphore) => Result,
): Result {
  const semaphore = state.semaphores.get(name);
  if (semaphore !== undefined) return act(semaphore);
  return failed("unknown_name", `There is no semaphore "${name}"`);
}

function withValue(
  { state, name }: Place,
  act: (value: unknown) => Result,
): Result {
  if (state.values.has(name)) return act(state.values.get(name));
  return failed("unknown_name", `There is no value "${name}"`);
}

/** Whether there is no room for so many bytes more. */
export function isFull(state: ShardState, bytes = 0): boolean {
  return state.bytes + bytes > COORDINATOR_LIMITS.stateBytes;
}

/** Nothing was done, and it may go better later: so it is not remembered. */
function full(doing: string): Result {
  const refused = failed(
    "storage_full",
    `Cannot ${doing}: the shard's state has reached its limit`,
  );
  return { ...refused, isForgotten: true };
}

function failed(code: RefusalCode, message: string): Result {
  return { outcome: { outcome: "failed", code, message } };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
