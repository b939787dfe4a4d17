/**
 * What broker and daemon tell about themselves: the shape of `status()` and of
 * `GET /api/v1/status`.
 *
 * Two sums hold in every report, for each row and for the totals:
 * `matched = delivered + pending + deadLettered + expired + dropped + own` and
 * `published = stored + trimmed`.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";

/** Rows of a kind in one report; the totals count what is left out too. */
export const STATUS_ROWS_MAX = 1_000;

/** Which rows a report has. */
export interface StatusQuery {
  /** Only rows of this topic. @default All. */
  topic?: string;
  /** Only rows of this user, `name@machine`. @default All. */
  user?: string;
}

/** What became of the messages that a subscription asked for. Each counts messages. */
export interface DeliveryCounts {
  /** How many messages the topics have from where subscriptions began to where they are. */
  matched: number;
  /** How many were acknowledged by apps, counted at the acknowledgement. */
  delivered: number;
  /** How many are not yet acknowledged, wherever they lie: broker or daemon. */
  pending: number;
  /** How many were kept aside because no app could take them. */
  deadLettered: number;
  /** How many were not delivered because their time was up. */
  expired: number;
  /** How many were given up, with a reason each. */
  dropped: number;
  /** How many were the subscriber's own, which are not echoed. */
  own: number;
}

/** What became of the messages that were published. Each counts messages. */
export interface PublishCounts {
  /** How many were accepted since the topic came into being. */
  published: number;
  /** How many are still in the log. */
  stored: number;
  /** How many are no longer in the log. */
  trimmed: number;
}

/** Sums over all topics and all subscriptions, ended ones included. */
export interface StatusTotals extends DeliveryCounts, PublishCounts {
  /** How many messages were dropped for which reason. */
  droppedReasons: Record<string, number>;
}

/** One topic. */
export interface TopicStatus extends PublishCounts {
  /** Its name. */
  topic: string;
}

/** One topic of one subscription. */
export interface SubscriptionStatus extends DeliveryCounts {
  /** Whose subscription, `name@machine`. */
  user: string;
  /** What was subscribed to. */
  filter: string;
  /** Which of the topics that match it. */
  topic: string;
  /** How many messages were dropped for which reason. */
  droppedReasons: Record<string, number>;
}

/** One connection. */
export interface SessionStatus {
  /** The machine at its other end. */
  machine: string;
  /** What is at its other end: an app's handle, or a daemon. */
  role: "app" | "daemon";
  /** The users that are attached over it, `name@machine`. */
  users: string[];
  /** How long it has been up, in milliseconds. */
  connectedMs: number;
  /** The address at its other end. */
  remote: string;
}

/** What a daemon has stored. */
export interface BoxStatus {
  /** How many messages. */
  messages: number;
  /** Their size in bytes. */
  bytes: number;
  /** How long the oldest has been there, in milliseconds; 0 if there is none. */
  oldestMs: number;
}

/** A daemon's connection to its broker. */
export interface LinkStatus {
  /** `up`, or on the way there, or waiting for the next try. */
  state: "up" | "connecting" | "down";
  /** The broker's address. */
  broker: string;
  /** How long it has been in that state, in milliseconds. */
  sinceMs: number;
  /** Why it is not up: an error's code and message. */
  reason?: string;
}

/**
 * What became of a store that was restored or copied. Counted by a daemon since
 * its start, by a broker for its present epoch.
 */
export interface RecoveryStatus {
  /** How many times the store was another one than before. */
  epochs: number;
  /** How many messages it had acknowledged and does not know any more, as far as noticed. */
  mayBeLost: number;
  /** How many messages somebody may have had already; they come marked `redelivered`. */
  mayComeTwice: number;
}

/** One message that was put aside. */
export interface DeadLetterStatus {
  /** For whom it was, or who published it, `name@machine`. */
  user: string;
  /** Its topic. */
  topic: string;
  /** Its number in the topic; none if the broker never took it. */
  offset?: number;
  /** Why: `undecodable`, `schema`, or the code with which it was refused. */
  reason: string;
  /** When it was put aside, in milliseconds since 1970. */
  time: number;
}

/** How many rows a report leaves out, by kind. */
export interface OmittedRows {
  /** Rows of `topics`. */
  topics: number;
  /** Rows of `subscriptions`. */
  subscriptions: number;
  /** Rows of `sessions`. */
  sessions: number;
  /** Rows of `deadLetters`. */
  deadLetters: number;
}

/** What `status()` tells. */
export interface StatusReport {
  /** mom's version. */
  version: string;
  /** Whose report it is. */
  role: "broker" | "daemon";
  /** The daemon's machine; `null` at the broker. */
  machine: string | null;
  /** The store beneath. */
  store: {
    /** Its random id, in hex. */
    id: string;
    /** Its epoch, which restore, purge and loss change. */
    epoch: number;
    /** The number of its last commit. */
    position: number;
    /** What it takes on the disk, in bytes; 0 in memory. */
    bytes: number;
  };
  /** Since when it runs, in milliseconds. */
  uptimeMs: number;
  /** Sums over everything, whatever the query. */
  totals: StatusTotals;
  /** By topic; at a daemon only those that it counts. */
  topics: TopicStatus[];
  /** By user, filter and topic. */
  subscriptions: SubscriptionStatus[];
  /** The connections at this moment. */
  sessions: SessionStatus[];
  /** Messages put aside, the latest first. */
  deadLetters: DeadLetterStatus[];
  /** What waits for the broker; `null` at the broker. */
  outbox: BoxStatus | null;
  /** What waits for apps; `null` at the broker. */
  inbox: BoxStatus | null;
  /** The connection to the broker; `null` at the broker. */
  link: LinkStatus | null;
  /** What stores that were replaced have cost; none if none was. */
  recovery?: RecoveryStatus;
  /** Rows left out because there are more than a report holds. */
  omitted: OmittedRows;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const duration = v.pipe(v.number(), v.finite(), v.minValue(0));
const reasons = v.record(v.string(), count);
const deliveryCounts = {
  matched: count,
  delivered: count,
  pending: count,
  deadLettered: count,
  expired: count,
  dropped: count,
  own: count,
};
const publishCounts = { published: count, stored: count, trimmed: count };
const box = v.nullable(
  v.looseObject({ messages: count, bytes: count, oldestMs: duration }),
);

/** The same as a schema, for who reads a report; unknown fields are let through. */
export const statusReportSchema: v.GenericSchema<unknown, StatusReport> = v
  .looseObject({
    version: v.string(),
    role: v.picklist(["broker", "daemon"]),
    machine: v.nullable(v.string()),
    store: v.looseObject({
      id: v.string(),
      epoch: count,
      position: count,
      bytes: count,
    }),
    uptimeMs: duration,
    totals: v.looseObject({
      ...deliveryCounts,
      ...publishCounts,
      droppedReasons: reasons,
    }),
    topics: v.array(v.looseObject({ topic: v.string(), ...publishCounts })),
    subscriptions: v.array(v.looseObject({
      user: v.string(),
      filter: v.string(),
      topic: v.string(),
      ...deliveryCounts,
      droppedReasons: reasons,
    })),
    sessions: v.array(v.looseObject({
      machine: v.string(),
      role: v.picklist(["app", "daemon"]),
      users: v.array(v.string()),
      connectedMs: duration,
      remote: v.string(),
    })),
    deadLetters: v.array(v.looseObject({
      user: v.string(),
      topic: v.string(),
      offset: v.optional(count),
      reason: v.string(),
      time: v.number(),
    })),
    outbox: box,
    inbox: box,
    link: v.nullable(v.looseObject({
      state: v.picklist(["up", "connecting", "down"]),
      broker: v.string(),
      sinceMs: duration,
      reason: v.optional(v.string()),
    })),
    recovery: v.optional(v.looseObject({
      epochs: count,
      mayBeLost: count,
      mayComeTwice: count,
    })),
    omitted: v.looseObject({
      topics: count,
      subscriptions: count,
      sessions: count,
      deadLetters: count,
    }),
  });

/** Zero in every field, to add to. */
export function noTotals(): StatusTotals {
  return {
    matched: 0,
    delivered: 0,
    pending: 0,
    deadLettered: 0,
    expired: 0,
    dropped: 0,
    own: 0,
    published: 0,
    stored: 0,
    trimmed: 0,
    droppedReasons: {},
  };
}

/**
 * What does not add up in a report: a line for each row that breaks one of the
 * two sums. Empty when all is well.
 */
export function findWrongSums(report: StatusReport): string[] {
  const wrong: string[] = [];
  const checkDelivery = (row: DeliveryCounts, name: string) => {
    const sum = row.delivered + row.pending + row.deadLettered + row.expired +
      row.dropped + row.own;
    if (row.matched !== sum) {
      wrong.push(`${name}: matched ${row.matched}, but its parts are ${sum}`);
    }
  };
  const checkPublish = (row: PublishCounts, name: string) => {
    const sum = row.stored + row.trimmed;
    if (row.published !== sum) {
      wrong.push(`${name}: published ${row.published}, parts are ${sum}`);
    }
  };
  checkDelivery(report.totals, "totals");
  checkPublish(report.totals, "totals");
  for (const row of report.topics) checkPublish(row, `topic ${row.topic}`);
  for (const row of report.subscriptions) {
    checkDelivery(row, `${row.user} ${row.filter} ${row.topic}`);
  }
  return wrong;
}
