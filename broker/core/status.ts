/**
 * The broker's report about itself.
 *
 * @module
 */

import {
  type DeadLetterStatus,
  type DeliveryCounts,
  noTotals,
  type SessionStatus,
  STATUS_ROWS_MAX,
  type StatusQuery,
  type StatusReport,
  type StatusTotals,
  type SubscriptionStatus,
  type TopicStatus,
} from "../../program/status.ts";
import { VERSION } from "../../protocol/version.ts";
import type { Counts } from "./counts.ts";
import type { Reader, Row } from "./readers.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";
import type { Subscription } from "./subscriptions.ts";
import type { Topic } from "./topics.ts";

/** Rows up to the limit, and how many there would have been. */
class Rows<T> {
  readonly rows: T[] = [];
  #count = 0;

  get omitted(): number {
    return this.#count - this.rows.length;
  }

  add(make: () => T): void {
    if (this.#count++ < STATUS_ROWS_MAX) this.rows.push(make());
  }
}

/** Makes the report. Sums cover everything, rows what `query` asks for. */
export function reportStatus(
  state: State,
  sessions: Iterable<Session>,
  query: StatusQuery,
  uptimeMs: number,
): StatusReport {
  const { store } = state;
  const topics = topicRows(state, query);
  const subscriptions = subscriptionRows(state, query);
  const connections = sessionRows(state, sessions, query);
  const deadLetters = deadLetterRows(state, query);
  return {
    version: VERSION,
    role: "broker",
    machine: null,
    store: {
      id: store.id.toHex(),
      epoch: store.epoch,
      position: store.position,
      bytes: store.isMemory ? 0 : store.bytesOnDisk(),
    },
    uptimeMs,
    totals: totalsOf(state),
    topics: topics.rows,
    subscriptions: subscriptions.rows,
    sessions: connections.rows,
    deadLetters: deadLetters.rows,
    outbox: null,
    inbox: null,
    link: null,
    recovery: {
      epochs: state.totals.epochBefore === 0 ? 0 : 1,
      mayBeLost: 0,
      mayComeTwice: state.totals.mayComeTwice,
    },
    omitted: {
      topics: topics.omitted,
      subscriptions: subscriptions.omitted,
      sessions: connections.omitted,
      deadLetters: deadLetters.omitted,
    },
  };
}

function totalsOf(state: State): StatusTotals {
  const totals = noTotals();
  const { store } = state;
  const reasons = new Map<string, number>();
  const add = (counts: Counts, pending: number, matched: number) => {
    totals.matched += matched;
    totals.pending += pending;
    totals.delivered += counts.delivered;
    totals.deadLettered += counts.deadLettered;
    totals.expired += counts.expired;
    totals.dropped += counts.dropped;
    totals.own += counts.own;
    for (const [reason, number] of counts.reasons) {
      reasons.set(reason, (reasons.get(reason) ?? 0) + number);
    }
  };
  const { ended } = state.totals;
  add(ended, 0, ended.settled);
  totals.published = totals.trimmed = state.totals.published;
  for (const topic of state.topics.all()) {
    const begin = store.begin(topic.log);
    const end = store.end(topic.log);
    totals.published += end;
    totals.trimmed += begin;
    totals.stored += end - begin;
    for (const reader of topic.readers) {
      for (const row of reader.rows) {
        add(row.counts, reader.pending(row, end), reader.matched(row, end));
      }
    }
  }
  totals.droppedReasons = droppedOnly(reasons);
  return totals;
}

function topicRows(state: State, query: StatusQuery): Rows<TopicStatus> {
  const rows = new Rows<TopicStatus>();
  for (const topic of topicsOf(state, query)) {
    if (query.user !== undefined && !isRead(topic, query.user)) continue;
    rows.add(() => {
      const published = state.store.end(topic.log);
      const trimmed = state.store.begin(topic.log);
      const stored = published - trimmed;
      return { topic: topic.name, published, stored, trimmed };
    });
  }
  return rows;
}

function subscriptionRows(
  state: State,
  query: StatusQuery,
): Rows<SubscriptionStatus> {
  const rows = new Rows<SubscriptionStatus>();
  for (const reader of readersOf(state, query)) {
    for (const row of reader.rows) rows.add(() => rowOf(state, reader, row));
  }
  for (const user of usersOf(state, query)) {
    for (const subscription of user.subscriptions.values()) {
      if (subscription.rowCount > 0) continue;
      if (query.topic !== undefined && query.topic !== subscription.filter) {
        continue;
      }
      rows.add(() => emptyRow(subscription));
    }
  }
  return rows;
}

function rowOf(state: State, reader: Reader, row: Row): SubscriptionStatus {
  const end = state.store.end(reader.topic.log);
  const { counts } = row;
  return {
    user: reader.user.id,
    filter: row.subscription.filter,
    topic: reader.topic.name,
    matched: reader.matched(row, end),
    delivered: counts.delivered,
    pending: reader.pending(row, end),
    deadLettered: counts.deadLettered,
    expired: counts.expired,
    dropped: counts.dropped,
    own: counts.own,
    droppedReasons: droppedOnly(counts.reasons),
  };
}

/** A subscription that nothing has matched yet: its filter stands for the topic. */
function emptyRow({ user, filter }: Subscription): SubscriptionStatus {
  const none: DeliveryCounts = {
    matched: 0,
    delivered: 0,
    pending: 0,
    deadLettered: 0,
    expired: 0,
    dropped: 0,
    own: 0,
  };
  return { user: user.id, filter, topic: filter, ...none, droppedReasons: {} };
}

function sessionRows(
  state: State,
  sessions: Iterable<Session>,
  query: StatusQuery,
): Rows<SessionStatus> {
  const rows = new Rows<SessionStatus>();
  const nowMs = state.nowMs();
  for (const session of sessions) {
    const flows = [...session.flows.values()];
    const isAsked = query.user === undefined ||
      flows.some(({ user }) => user.id === query.user);
    if (!isAsked) continue;
    rows.add(() => ({
      machine: session.machine,
      role: session.role,
      users: flows.slice(0, STATUS_ROWS_MAX).map(({ user }) => user.id),
      connectedMs: Math.max(0, nowMs - session.connectedMs),
      remote: session.remote,
    }));
  }
  return rows;
}

function deadLetterRows(
  state: State,
  query: StatusQuery,
): Rows<DeadLetterStatus> {
  const rows = new Rows<DeadLetterStatus>();
  for (const run of state.deadLetters.newest()) {
    if (query.user !== undefined && query.user !== run.user) continue;
    if (query.topic !== undefined && query.topic !== run.topic) continue;
    for (let offset = run.to - 1; offset >= run.from; offset--) {
      rows.add(() => ({
        user: run.user,
        topic: run.topic,
        offset,
        reason: run.reason,
        time: run.timeMs,
      }));
    }
  }
  return rows;
}

function topicsOf(state: State, query: StatusQuery): Iterable<Topic> {
  if (query.topic === undefined) return state.topics.all();
  const topic = state.topics.get(query.topic);
  return topic === undefined ? [] : [topic];
}

function* readersOf(state: State, query: StatusQuery): Iterable<Reader> {
  for (const topic of topicsOf(state, query)) {
    for (const reader of topic.readers) {
      if (query.user === undefined || query.user === reader.user.id) {
        yield reader;
      }
    }
  }
}

function* usersOf(
  state: State,
  query: StatusQuery,
): Iterable<{ subscriptions: ReadonlyMap<string, Subscription> }> {
  if (query.user === undefined) yield* state.users.values();
  const user = query.user === undefined
    ? undefined
    : state.users.get(query.user);
  if (user !== undefined) yield user;
}

function isRead(topic: Topic, user: string): boolean {
  return topic.readers.some((reader) => reader.user.id === user);
}

/** Reasons of what was dropped; those of dead letters are told with them. */
function droppedOnly(
  reasons: ReadonlyMap<string, number>,
): Record<string, number> {
  const dropped = [...reasons].filter(([reason]) =>
    reason !== "undecodable" && reason !== "schema"
  );
  return Object.fromEntries(dropped);
}
