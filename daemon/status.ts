/**
 * What a daemon tells about itself.
 *
 * @module
 */

import { VERSION } from "../protocol/version.ts";
import {
  type LinkStatus,
  noTotals,
  type SessionStatus,
  STATUS_ROWS_MAX,
  type StatusQuery,
  type StatusReport,
} from "../program/status.ts";
import type { Store } from "../storage/store.ts";
import type { DaemonCore } from "./core.ts";
import type { Incidents } from "./incidents.ts";

/** What goes into a report. */
export interface DaemonStatusInput {
  readonly core: DaemonCore;
  readonly store: Store;
  readonly machine: string;
  readonly uptimeMs: number;
  readonly sessions: SessionStatus[];
  readonly link: LinkStatus;
  readonly incidents: Incidents;
}

/** A daemon's report. What it counts is what lies here; sums over all are the broker's. */
export function reportDaemon(
  input: DaemonStatusInput,
  query: StatusQuery,
): StatusReport {
  const { core, store, machine } = input;
  const totals = noTotals();
  let inboxBytes = 0;
  for (const user of core.users.all()) {
    totals.pending += user.marks.pending;
    inboxBytes += user.inbox.bytes;
  }
  totals.matched = totals.pending;
  const sessions = input.sessions.filter((session) =>
    query.user === undefined || session.users.includes(query.user)
  );
  return {
    version: VERSION,
    role: "daemon",
    machine,
    store: {
      id: store.id.toHex(),
      epoch: store.epoch,
      position: store.position,
      bytes: store.isMemory ? 0 : store.bytesOnDisk(),
    },
    uptimeMs: input.uptimeMs,
    totals,
    topics: [],
    subscriptions: [],
    sessions: sessions.slice(0, STATUS_ROWS_MAX),
    deadLetters: [],
    outbox: {
      messages: core.outbox.messages,
      bytes: core.outbox.bytes,
      oldestMs: 0,
    },
    inbox: { messages: totals.pending, bytes: inboxBytes, oldestMs: 0 },
    link: input.link,
    recovery: {
      epochs: input.incidents.epochs,
      mayBeLost: input.incidents.mayBeLost,
      mayComeTwice: core.mayComeTwice,
    },
    omitted: {
      topics: 0,
      subscriptions: 0,
      sessions: Math.max(0, sessions.length - STATUS_ROWS_MAX),
      deadLetters: 0,
    },
  };
}
