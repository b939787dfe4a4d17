/**
 * Every rule marked ▪ in the design, sections 4 to 7, with ways to break it. A
 * simulation of a broken system must not pass; what no simulation can show (bytes,
 * limits, a damaged file) names the test that does.
 *
 * The switches live here: they put other methods into the product's classes, or
 * change what goes over the wire or to the disk, for the length of a run.
 *
 * @module
 */

import { Commits as BrokerCommits } from "../../broker/core/commits.ts";
import { Core } from "../../broker/core/core.ts";
import { Credit } from "../../broker/core/flow.ts";
import { Machines } from "../../broker/core/machines.ts";
import { Producers } from "../../broker/core/producers.ts";
import type { Session } from "../../broker/core/session.ts";
import { State } from "../../broker/core/state.ts";
import { TABLES } from "../../broker/core/entries.ts";
import { Acknowledger } from "../../daemon/client/receiving/acknowledger.ts";
import { Mom } from "../../daemon/client.ts";
import { Commits as DaemonCommits } from "../../daemon/commits.ts";
import { DaemonCore } from "../../daemon/core.ts";
import { Destroys } from "../../daemon/upstream/destroys.ts";
import { Inbox } from "../../daemon/user/inbox.ts";
import { Mark } from "../../daemon/user/mark.ts";
import { OutboxLog } from "../../daemon/outbox/outbox_log.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { type Message, OUTCOME } from "../../protocol/messages.ts";
import { Peer } from "../../protocol/peer.ts";
import { Store } from "../../storage/store.ts";
import type { Patches } from "./patches.ts";
import type { TroubleKind } from "./trouble.ts";
import type { World } from "./world.ts";

/** One way to break a rule. */
export interface Canary {
  /** What is done wrong. */
  readonly broken: string;
  /** The trouble in which it shows, where not in any. */
  readonly focus?: TroubleKind;
  /** A seed that is known to show it, tried first. @default {1} */
  readonly seed?: number;
  /** Breaks it, until the patches are undone. */
  readonly meddle: (patches: Patches, world: World) => void;
}

/** A rule. */
export interface Rule {
  /** Section and words of the design, in short. */
  readonly rule: string;
  /** Each must be caught by the simulation. */
  readonly canaries?: readonly Canary[];
  /** Tests that hold what bytes, limits and files decide: `FILE: part of a name`. */
  readonly tests?: readonly string[];
}

/** All of them, in the design's order. */
export const RULES: readonly Rule[] = [
  {
    rule: "4 before WELCOME: small frames, 5 s, few connections",
    tests: ["tests/sim/before_welcome_test.ts: no stranger"],
  },
  {
    rule: "4 sequences: what is known is skipped, a gap is refused",
    tests: [
      "tests/broker/core_publish_test.ts: a batch that leaves something out",
      "tests/broker/core_publish_test.ts: a hole that the sender knows of",
    ],
    canaries: [
      {
        broken: "the broker notes no sequences",
        meddle: (patches) =>
          patches.replace(Producers.prototype, "advance", () => () => {}),
      },
    ],
  },
  {
    rule: "4 credit: given back, and a large message passes an empty window",
    canaries: [
      {
        broken: "a window is never seen as empty",
        meddle: (patches) =>
          patches.replaceGetter(Credit.prototype, "isFree", () => false),
      },
      {
        broken: "credit is given once and never again",
        meddle: (patches) => {
          const seen = new WeakSet<Peer>();
          onSend(patches, (message, peer) => {
            if (message.type !== "CREDIT") return message;
            if (seen.has(peer)) return null;
            seen.add(peer);
            return { ...message, total: Math.min(message.total, 2_000) };
          });
        },
      },
    ],
  },
  {
    rule:
      "5 the producer's last sequence, log ends and counters go with the messages",
    canaries: [
      {
        broken: "sequences go to the disk one change late",
        focus: "killAtCommit",
        meddle: (patches) => putLate(patches, TABLES.sequences, () => null),
      },
      {
        broken: "readers' progress goes to the disk one change late",
        meddle: (patches) => putLate(patches, TABLES.readers, (first) => first),
      },
    ],
  },
  {
    rule:
      "5 after a crash the store is at a commit boundary, and nothing is told before it",
    canaries: [
      {
        broken: "the broker tells before its commit",
        meddle: (patches) =>
          patches.replace(
            BrokerCommits.prototype,
            "whenDone",
            () => (effect) => effect(),
          ),
      },
      {
        broken: "a daemon tells before its commit",
        seed: 28,
        meddle: (patches) =>
          patches.replace(
            DaemonCommits.prototype,
            "whenDone",
            () => (effect) => effect(),
          ),
      },
      {
        broken: "half of a commit is on the disk after a crash",
        meddle: (_patches, world) => {
          for (const { disk } of world.slots) {
            disk.meddle = (commit) => {
              const { checks, mutations } = commit;
              const isGroup = mutations.some(({ key }) => key[0] === "j");
              if (!isGroup || !world.kernel.random.chance(0.05)) return commit;
              return {
                checks,
                mutations: mutations.filter(({ key }) => key[0] !== "c"),
              };
            };
          }
        },
      },
    ],
    tests: ["tests/storage/crash_test.ts: a store opens at a commit"],
  },
  {
    rule: "5 large records: parts first, the pointer last",
    canaries: [{
      broken: "the pointer is there, the parts are not",
      focus: "kill",
      meddle: (_patches, world) => {
        for (const { disk } of world.slots) {
          disk.meddle = ({ checks, mutations }) => ({
            checks,
            mutations: mutations.filter(({ key }) => key[0] !== "b"),
          });
        }
      },
    }],
    tests: [
      "tests/storage/blobs_test.ts: parts of a body that was half staged",
      "tests/storage/crash_test.ts: a store that dies within any commit",
    ],
  },
  {
    rule: "5 identity: a machine that lost its disk is known by its key",
    canaries: [{
      broken: "a new key is taken for the old one",
      focus: "loseDisk",
      seed: 600,
      meddle: (patches) =>
        patches.replace(Machines.prototype, "check", () => () => "same"),
    }],
  },
  {
    rule: "5 identity: sequences are forgotten only of who has nothing left",
    canaries: [{
      broken: "a producer is forgotten with its connection",
      seed: 28,
      meddle: (patches) => {
        let producers: Producers | null = null;
        patches.replace(
          Producers.prototype,
          "introduce",
          (introduce) =>
            function (this: Producers, id, sender, nowMs) {
              producers = this;
              return introduce.call(this, id, sender, nowMs);
            },
        );
        patches.replace(
          Core.prototype,
          "sessionLost",
          (sessionLost) =>
            function (this: Core, session: Session) {
              for (const one of session.producers) {
                producers?.forget(one);
              }
              sessionLost.call(this, session);
            },
        );
      },
    }],
  },
  {
    rule: "5 one owner: who was displaced commits nothing more",
    canaries: [{
      broken: "commits do not check the owner",
      seed: 46,
      focus: "displace",
      meddle: (_patches, world) => {
        for (const { disk } of world.slots) {
          disk.meddle = ({ mutations }) => ({ checks: [], mutations });
        }
      },
    }],
    tests: [
      "tests/storage/folder_test.ts: a store whose owner entry is replaced stops",
    ],
  },
  {
    rule:
      "5 errors: after a failed commit nothing is told and all is read again",
    canaries: [{
      broken: "a failed commit counts as done",
      seed: 30,
      meddle: (_patches, world) => {
        for (const { disk } of world.slots) disk.isDeaf = true;
      },
    }],
    tests: [
      "tests/storage/failure_test.ts: after a failed commit nothing is confirmed",
    ],
  },
  {
    rule: "6 incarnations: a destroy made while the broker is away is kept",
    canaries: [{
      broken: "a destroy is told to nobody who is not there",
      focus: "kill",
      meddle: (patches) =>
        patches.replace(Destroys.prototype, "keys", () => () => []),
    }],
  },
  {
    rule: "6 an unnamed user lives while its handle does, and 60 s more",
    canaries: [
      {
        broken: "it ends with its connection",
        seed: 58,
        focus: "kill",
        meddle: (patches) => patches.set(LIMITS, "unnamedGoneMs", 0),
      },
      {
        broken: "it never ends",
        meddle: (patches) => patches.set(LIMITS, "unnamedGoneMs", Infinity),
      },
      {
        broken: "the broker ends it with the link",
        meddle: (patches) => {
          let state: State | null = null;
          patches.replace(
            State.prototype,
            "createUser",
            (createUser) =>
              function (this: State, name, machine, incarnation, named) {
                state = this;
                return createUser.call(this, name, machine, incarnation, named);
              },
          );
          patches.replace(
            Core.prototype,
            "sessionLost",
            (sessionLost) =>
              function (this: Core, session: Session) {
                const users = [...session.flows.values()].map((one) =>
                  one.user
                );
                sessionLost.call(this, session);
                for (const user of users) {
                  if (!user.named && !user.isGone) state?.endUser(user);
                }
              },
          );
        },
      },
      {
        broken: "a handle that comes back too late is taken for a new user",
        focus: "abandon",
        meddle: (patches) =>
          patches.replace(
            DaemonCore.prototype,
            "onApp",
            (onApp) =>
              function (this: DaemonCore, port, message) {
                return onApp.call(
                  this,
                  port,
                  message.type === "ATTACH"
                    ? { ...message, create: true }
                    : message,
                );
              },
          ),
      },
    ],
  },
  {
    rule: "6 a name that a live handle has is refused",
    canaries: [{
      broken: "nobody answers a PING",
      meddle: (patches) =>
        patches.replace(
          Peer.prototype,
          "ping",
          () => () => Promise.resolve(false),
        ),
    }],
    tests: [
      "tests/broker/broker_test.ts: a second daemon of a name is refused",
    ],
  },
  {
    rule:
      "6 unsubscribe ends at the current position, and what was queued comes",
    canaries: [
      {
        broken: "nothing ends",
        meddle: (patches) =>
          patches.replace(State.prototype, "endSubscription", () => () => {}),
      },
      {
        broken: "what was queued is dropped",
        seed: 24,
        meddle: (patches) =>
          patches.replace(
            State.prototype,
            "endSubscription",
            (end) =>
              function (this: State, subscription) {
                const { user } = subscription;
                end.call(this, subscription);
                for (const reader of [...user.readers.values()]) {
                  for (const row of [...reader.rows]) {
                    if (row.subscription !== subscription) continue;
                    const result = {
                      column: "delivered",
                      reason: null,
                    } as const;
                    this.settle(reader, row.begin, row.end ?? 0, result);
                  }
                }
              },
          ),
      },
    ],
  },
  {
    rule: "6 a topic that appears later is read from its first message",
    canaries: [{
      broken: "filters see a topic from its second message on",
      meddle: (patches) =>
        patches.replace(
          State.prototype,
          "matchTopic",
          (matchTopic) =>
            function (this: State, topic) {
              if (this.topics.end(topic) > 0) matchTopic.call(this, topic);
            },
        ),
    }],
  },
  {
    rule: "6 messages come in order of position over all topics",
    canaries: [{
      broken: "what is read from the disk comes topic by topic",
      meddle: (patches) => {
        patches.replace(Store.prototype, "readCached", () => () => null);
        patches.replace(
          Store.prototype,
          "readInOrder",
          (read) =>
            async function (this: Store, wants, maxBytes) {
              const results = await read.call(this, wants, maxBytes);
              return results.sort((a, b) => b.log - a.log || a.base - b.base);
            },
        );
      },
    }],
  },
  {
    rule: "6 a message comes once, however many filters match",
    canaries: [{
      broken: "a reader for each subscription",
      meddle: (patches) =>
        patches.replace(
          State.prototype,
          "addRow",
          (addRow) =>
            function (this: State, subscription, topic, begin) {
              subscription.user.readers.delete(topic.log);
              return addRow.call(this, subscription, topic, begin);
            },
        ),
    }],
  },
  {
    rule: "6 what receive does not return is not taken",
    canaries: [{
      broken: "a receive that runs out of time takes all the same",
      meddle: (patches) =>
        patches.replace(
          Mom.prototype,
          "receive",
          (receive) =>
            async function (this: Mom, options) {
              const message = await receive.call(this, options);
              if (message !== null) return message;
              const late = await receive.call(this, { timeoutMs: 20 });
              await late?.ack();
              return null;
            },
        ),
    }],
  },
  {
    rule: "6 a live handle says what it took until that is confirmed",
    canaries: [
      {
        broken: "an app says nothing when it attaches again",
        meddle: (patches) =>
          patches.replace(Acknowledger.prototype, "known", () => () => []),
      },
    ],
  },
  {
    rule: "6 redelivered never understates",
    canaries: [{
      broken: "nothing is marked",
      seed: 30,
      focus: "cut",
      meddle: (patches) =>
        onSend(patches, (message) => {
          if (message.type === "ATTACHED") return { ...message, suspect: 0 };
          if (message.type !== "DELIVER") return message;
          const targets = message.targets.map((one, i) =>
            i % 2 === 1 ? one & ~2 : one
          );
          return { ...message, targets };
        }),
    }],
  },
  {
    rule: "6 what does not decode is a dead letter, and receive goes on",
    tests: [
      "tests/client/receive_test.ts: records that do not decode become dead letters",
    ],
  },
  {
    rule: "7 the outbox is a contiguous run: later ones queue behind it",
    tests: ["tests/daemon/roads_test.ts: a producer's order over its topics"],
  },
  {
    rule: "7 the last sequence stored is kept after draining",
    tests: [
      "tests/daemon/restart_test.ts: knows after a restart what it stored",
    ],
  },
  {
    rule: "7 received marks go with the inbox entry, and outlive it",
    canaries: [
      {
        broken: "marks are not stored",
        focus: "kill",
        meddle: (patches) =>
          patches.replace(Mark.prototype, "save", () => () => {}),
      },
      {
        broken: "a mark goes before the broker has confirmed",
        meddle: (patches) =>
          patches.replace(
            Mark.prototype,
            "settle",
            (settle) =>
              function (this: Mark, outcome, from, to) {
                settle.call(this, outcome, from, to);
                this.forget(from, to);
              },
          ),
      },
      {
        broken: "the inbox is acknowledged and not stored",
        meddle: (patches) =>
          patches.replace(
            Inbox.prototype,
            "append",
            (append) =>
              function (this: Inbox, delivery) {
                append.call(this, {
                  ...delivery,
                  batch: delivery.batch.slice(0, 0),
                });
              },
          ),
      },
    ],
  },
  {
    rule:
      "7 what is refused after a receipt is a dead letter, and the drain goes on",
    canaries: [{
      broken: "a refusal holds up the drain",
      focus: "cutLinks",
      meddle: (patches, world) => {
        world.broker.maxMessageBytes = 20_000;
        patches.replace(OutboxLog.prototype, "bury", () => () => {});
      },
    }],
  },
  {
    rule: "7 what lies at a daemon is pending until it is taken",
    canaries: [{
      broken: "custody is reported as taken",
      meddle: (patches) =>
        onSend(patches, (message) => {
          if (message.type !== "ACK") return message;
          const outcomes = message.outcomes.map((one, i) =>
            i % 4 === 0 && one === OUTCOME.custody ? OUTCOME.delivered : one
          );
          return { ...message, outcomes };
        }),
    }],
  },
];

/** Entries of a table go to the disk with the next change of theirs. */
function putLate(
  patches: Patches,
  lateTable: number,
  firstTime: (value: Uint8Array) => Uint8Array | null,
): void {
  const late = new Map<number, Uint8Array>();
  patches.replace(
    Store.prototype,
    "put",
    (put) =>
      function (this: Store, table, key, value) {
        if (table !== lateTable) return put.call(this, table, key, value);
        const before = late.get(key) ?? firstTime(value);
        late.set(key, value);
        if (before !== null) put.call(this, table, key, before);
      },
  );
}

/** Changes messages as they are sent, by whomever; `null` for none. */
function onSend(
  patches: Patches,
  change: (message: Message, peer: Peer) => Message | null,
): void {
  patches.replace(
    Peer.prototype,
    "send",
    (send) =>
      function (this: Peer, message: Message) {
        const changed = change(message, this);
        if (changed !== null) send.call(this, changed);
      },
  );
}
