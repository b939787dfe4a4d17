/**
 * What a record does to a shard's state, and who is told what. No clock, no
 * chance, no network: the same records make the same state and the same replies
 * wherever they are executed.
 *
 * @module
 */

import { COORDINATOR_LIMITS } from "../limits.ts";
import {
  type LogRecord,
  type Malformed,
  readRecord,
  type Request,
} from "../records.ts";
import type { Outcome, Reply } from "../replies.ts";
import { answer, type Moment, toReply } from "./answers.ts";
import { renewLease, takeOver } from "./leases.ts";
import { cancel, execute, isFull } from "./operations.ts";
import { endSession, isSettled, settle } from "./sessions.ts";
import type { ShardState } from "./state.ts";

/** One message of a shard's log. */
export interface LogEntry {
  readonly offset: number;
  readonly time: number;
  readonly value: unknown;
}

/**
 * Executes one message of the log. Never throws, whatever its value is.
 *
 * @param state Changed by it.
 * @param entry The message with the offset `state.next`.
 * @returns The replies that follow, which whoever answers sends.
 */
export function step(state: ShardState, entry: LogEntry): Reply[] {
  return apply(state, readRecord(entry.value), entry);
}

/** As {@linkcode step}, of a message that is read already. */
export function apply(
  state: ShardState,
  record: LogRecord | Malformed,
  { offset, time }: Moment,
): Reply[] {
  state.next = offset + 1;
  state.time = Math.max(state.time, time);
  const moment = { offset, time: state.time };
  switch (record.kind) {
    case "request":
      return onRequest(state, record, moment);
    case "renew":
      return onRenew(state, record, moment);
    case "expire":
      return onExpire(state, record, moment);
    case "lease":
      renewLease(state, record, offset);
      return [];
    case "takeover":
      return takeOver(state, record, offset);
    case "malformed":
      return onMalformed(state, record, moment);
    case "join":
    case "want":
      return [];
    default:
      return record satisfies never;
  }
}

function onRequest(
  state: ShardState,
  record: Request,
  moment: Moment,
): Reply[] {
  if (record.op === "hello") {
    const known = state.sessions.get(record.client)?.session ?? 0;
    if (record.session > known) return onHello(state, record, moment);
  }
  const session = state.sessions.get(record.client);
  if (session?.session !== record.session) {
    return [verdict(record, moment, { outcome: "ended" })];
  }
  session.seen = moment.offset;
  const others = record.op === "semaphore_cancel"
    ? cancel(state, session, record.target, moment)
    : [];
  settle(state, session, waitingOf(record));
  const given = session.answers.get(record.request);
  if (given !== undefined) return [...others, toReply(session, given)];
  const isQueued = session.waits.has(record.request);
  if (isQueued || isSettled(session, record.request)) return others;
  if (record.deadline < moment.time) {
    return [...others, verdict(record, moment, { outcome: "late" })];
  }
  if (record.op === "leave") {
    const done = { outcome: "done", result: null } as const;
    return [
      verdict(record, moment, done),
      ...endSession(state, session, moment),
    ];
  }
  if (record.op === "hello") return [];
  return [...others, ...execute(state, session, record, moment)];
}

function onHello(
  state: ShardState,
  record: Extract<Request, { op: "hello" }>,
  moment: Moment,
): Reply[] {
  if (record.deadline < moment.time) {
    return [verdict(record, moment, { outcome: "late" })];
  }
  const { client, session, leaseMs, request } = record;
  const before = state.sessions.get(client);
  const others = before === undefined ? [] : endSession(state, before, moment);
  if (state.sessions.size >= COORDINATOR_LIMITS.sessions || isFull(state)) {
    const refusal = {
      outcome: "failed",
      code: "storage_full",
      message: `Cannot open a session: the shard has reached its limit`,
    } as const;
    return [...others, verdict(record, moment, refusal)];
  }
  const opened = state.addSession(client, session, leaseMs, moment.offset);
  settle(state, opened, waitingOf(record));
  const outcome = { outcome: "done", result: null } as const;
  return [...others, answer(state, opened, { request, ...moment, outcome })];
}

function onRenew(
  state: ShardState,
  record: Extract<LogRecord, { kind: "renew" }>,
  moment: Moment,
): Reply[] {
  const session = state.sessions.get(record.client);
  if (session?.session !== record.session) {
    return [verdict({ ...record, request: 0 }, moment, { outcome: "ended" })];
  }
  session.seen = moment.offset;
  settle(state, session, record);
  return [];
}

/** Void if the client was heard of since. */
function onExpire(
  state: ShardState,
  record: Extract<LogRecord, { kind: "expire" }>,
  moment: Moment,
): Reply[] {
  const session = state.sessions.get(record.client);
  const isMeant = session?.session === record.session &&
    session.seen === record.seen;
  return isMeant ? endSession(state, session, moment) : [];
}

function onMalformed(
  state: ShardState,
  { sender, problem }: Malformed,
  moment: Moment,
): Reply[] {
  state.malformed++;
  if (sender === null) return [];
  return [verdict(sender, moment, {
    outcome: "failed",
    code: "bad_message",
    message: `Cannot execute a record: ${problem}`,
  })];
}

/** A request stands for itself among those that are waited for. */
function waitingOf({ request, upTo, open }: Request) {
  return { upTo: Math.max(upTo, request), open: [...open, request] };
}

/** What is told and not kept. */
function verdict(
  { client, session, request }: {
    client: string;
    session: number;
    request: number;
  },
  { offset, time }: Moment,
  outcome: Outcome,
): Reply {
  return { client, session, request, offset, time, outcome };
}
