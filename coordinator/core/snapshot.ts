/**
 * A shard's state as a message, and back.
 *
 * @module
 */

import * as v from "../../deps/valibot.ts";
import { FORMAT } from "../records.ts";
import { type Outcome, REFUSAL_CODES } from "../replies.ts";
import { type Answer, ShardState } from "./state.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const outcome: v.GenericSchema<unknown, Outcome> = v.variant("outcome", [
  v.object({ outcome: v.literal("done"), result: v.unknown() }),
  v.object({
    outcome: v.literal("failed"),
    code: v.picklist(REFUSAL_CODES),
    message: v.string(),
  }),
]);

const schema = v.object({
  v: v.literal(FORMAT),
  kind: v.literal("snapshot"),
  shard: count,
  of: count,
  next: count,
  time: v.number(),
  tokens: count,
  malformed: count,
  leader: v.nullable(v.object({
    coordinator: count,
    incarnation: v.string(),
    renewal: count,
    answered: v.pipe(v.number(), v.safeInteger(), v.minValue(-1)),
  })),
  // name, value, born, waiters: client, request, consume
  semaphores: v.array(v.tuple([
    v.string(),
    count,
    count,
    v.array(v.tuple([v.string(), count, v.boolean()])),
  ])),
  // name, value
  values: v.array(v.tuple([v.string(), v.unknown()])),
  sessions: v.array(v.object({
    client: v.string(),
    session: count,
    leaseMs: count,
    seen: count,
    upTo: count,
    open: v.array(count),
    // request, offset, time, outcome
    answers: v.array(v.tuple([count, count, v.number(), outcome])),
    // token, name, request, consume
    permits: v.array(v.tuple([count, v.string(), count, v.boolean()])),
  })),
});

/** A snapshot on the wire. */
export type Snapshot = v.InferOutput<typeof schema>;

/** A snapshot as it came in; `null` if it is none. */
export function readSnapshot(value: unknown): Snapshot | null {
  const result = v.safeParse(schema, value, { abortEarly: true });
  return result.success ? result.output : null;
}

/** The state as it is now. */
export function toSnapshot(state: ShardState): Snapshot {
  const { shard, of, next, time, tokens, malformed, leader } = state;
  return {
    v: FORMAT,
    kind: "snapshot",
    shard,
    of,
    next,
    time,
    tokens,
    malformed,
    leader: leader && { ...leader },
    semaphores: [...state.semaphores.values()].map((
      { name, value, born, waiters },
    ) => [
      name,
      value,
      born,
      waiters.map(({ client, request, consume }) => [client, request, consume]),
    ]),
    values: [...state.values],
    sessions: [...state.sessions.values()].map((
      { answers, permits, waits: _, ...session },
    ) => ({
      ...session,
      open: [...session.open],
      answers: [...answers.values()].map((
        { request, offset, time, outcome },
      ) => [request, offset, time, outcome]),
      permits: [...permits.values()].map((
        { token, name, request, consume },
      ) => [token, name, request, consume]),
    })),
  };
}

/** The state that a snapshot was made of. */
export function fromSnapshot(snapshot: Snapshot): ShardState {
  const state = new ShardState(snapshot.shard, snapshot.of);
  state.next = snapshot.next;
  state.time = snapshot.time;
  state.tokens = snapshot.tokens;
  state.malformed = snapshot.malformed;
  state.leader = snapshot.leader;
  for (const each of snapshot.sessions) restoreSession(state, each);
  for (const [name, value, born, waiters] of snapshot.semaphores) {
    const semaphore = state.addSemaphore(name, value, born);
    for (const [client, request, consume] of waiters) {
      const session = state.sessions.get(client);
      if (session !== undefined) {
        state.enqueue(semaphore, session, request, consume);
      }
    }
  }
  for (const [name, value] of snapshot.values) state.setValue(name, value);
  return state;
}

function restoreSession(
  state: ShardState,
  { client, session, leaseMs, seen, upTo, open, answers, permits }:
    Snapshot["sessions"][number],
): void {
  const restored = state.addSession(client, session, leaseMs, seen);
  state.setOpen(restored, upTo, open);
  for (const [request, offset, time, outcome] of answers) {
    const answer: Answer = { request, offset, time, outcome };
    state.addAnswer(restored, answer);
  }
  for (const [token, name, request, consume] of permits) {
    state.addPermit(restored, { token, name, request, consume });
  }
}
