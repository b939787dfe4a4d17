/**
 * What the daemon decides: which user a connection speaks for, what becomes of a
 * publish, a delivery, an acknowledgement; what is kept, and what is told to the
 * broker. No socket and no timer of its own: messages come in, messages go out
 * through ports, and what must last goes through the commits.
 *
 * Here it begins with what was stored, looks at the time, and tells what befell
 * messages. `app_messages.ts` is what apps ask for, `attached_apps.ts` and `users.ts`
 * who they are; `outbox/` has what they publish, `upstream/` the broker.
 *
 * @module
 */

import type { Clock, Entropy } from "../protocol/clock.ts";
import type { MomError } from "../protocol/errors.ts";
import type { Message } from "../protocol/messages.ts";
import type { Logger } from "../program/log.ts";
import { AppMessages } from "./app_messages.ts";
import { AttachedApps } from "./attached_apps.ts";
import type { Port } from "./port.ts";
import type { Base } from "./base.ts";
import type { Commits } from "./commits.ts";
import { Outbox, type RejectedItem } from "./outbox/outbox.ts";
import { lostError } from "./outbox/losses.ts";
import type { Producer } from "./outbox/producers.ts";
import { sameBytes } from "./same_bytes.ts";
import { TABLE } from "./tables.ts";
import { Upstream } from "./upstream/upstream.ts";
import { Users } from "./users.ts";

/** What a core stands on. */
export interface CoreOptions {
  readonly commits: Commits;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly base: Base;
  readonly maxMessageBytes: number;
  readonly inboxBytesMax: number;
  readonly outboxBytesMax: number;
  /** The link's answers make no sense: it is closed. */
  onConfused(error: MomError): void;
  /** Something became a dead letter of this daemon. */
  onRejected(user: string, item: RejectedItem): void;
  /** The broker does not have any more what it had acknowledged. */
  onLost(user: string, topic: string, count: number): void;
  /** The broker's store is another one; `waiting` messages are here of the one before. */
  onEpochChanged(from: number, to: number, waiting: number): void;
}

/** The daemon without its sockets. */
export class DaemonCore {
  readonly outbox: Outbox;
  /** What the link is to be told and tells. */
  readonly upstream: Upstream;
  readonly users: Users;
  /** Messages here that somebody may have had, since a store was replaced. */
  mayComeTwice = 0;
  readonly #options: CoreOptions;
  readonly #apps: AttachedApps;
  readonly #messages: AppMessages;

  constructor(options: CoreOptions) {
    const { commits, clock, entropy, logger, base, onConfused } = options;
    this.#options = options;
    let requests = 0;
    const nextRequest = () => ++requests;
    const outbox = this.outbox = new Outbox({
      commits,
      clock,
      outboxBytesMax: options.outboxBytesMax,
      outboxLog: base.outboxLog,
      deadLog: base.deadLog,
      base,
      nextRequest,
      onRejected: (producer, item) => this.#rejected(producer, item),
      onLost: (producer, topic, count) => this.#lost(producer, topic, count),
      onDamaged: (producer, topic, count) =>
        this.#damaged(producer, topic, count),
      onConfused,
    });
    const upstream = this.upstream = new Upstream({
      commits,
      base,
      clock,
      onEpochChanged: (from, to) => this.#epochChanged(from, to),
      entropy,
      logger,
      onConfused,
      nextRequest,
      outbox,
      users: {
        all: () => this.users.all(),
        byKey: (key) => this.users.byKey(key),
        byName: (name) => this.users.byName(name),
      },
    });
    const users = this.users = new Users({
      commits,
      clock,
      inboxBytesMax: options.inboxBytesMax,
      outbox,
      upstream,
    });
    const apps = this.#apps = new AttachedApps({
      commits,
      base,
      outbox,
      upstream,
      users,
    });
    this.#messages = new AppMessages({
      commits,
      maxMessageBytes: options.maxMessageBytes,
      outbox,
      upstream,
      users,
      apps,
    });
  }

  /** Takes over what was stored. */
  async load(): Promise<void> {
    const { store } = this.#options.commits;
    this.users.load(
      store.takeEntries(TABLE.users),
      store.takeEntries(TABLE.marks),
    );
    this.upstream.load(
      store.takeEntries(TABLE.destroys),
      store.takeEntries(TABLE.subscriptions),
    );
    await this.outbox.load(store.takeEntries(TABLE.streams));
    this.#checkOwnEpoch();
    const handles = new Set<string>();
    for (const { handle } of this.users.all()) {
      if (handle !== null) handles.add(handle.toHex());
    }
    this.outbox.endAllBut((id) => handles.has(id.toHex()));
  }

  /** A store that was restored or copied holds what may have been done since. */
  #checkOwnEpoch(): void {
    const { base, commits, logger } = this.#options;
    const { epoch } = commits.store;
    if (base.ownEpoch === epoch) return;
    let inbox = 0;
    for (const user of this.users.all()) {
      user.distrust();
      inbox += user.marks.pending;
    }
    const outbox = this.outbox.messages;
    logger.warn("own_epoch_changed", {
      from: base.ownEpoch,
      to: epoch,
      inbox,
      outbox,
    });
    this.mayComeTwice += inbox + outbox;
    base.ownEpoch = epoch;
    commits.changed(base);
  }

  // Apps

  /** A message of an app. A promise: the connection is not read until it settles. */
  onApp(port: Port, message: Message): void | Promise<void> {
    return this.#messages.onMessage(port, message);
  }

  /** An app's connection is gone. */
  onAppLost(port: Port): void {
    this.#apps.lost(port);
  }

  /** What an app had not read is gone: more can be pushed. */
  onAppDrained(port: Port): void {
    this.#apps.find(port)?.deliveries.pump();
  }

  /** Who speaks over a connection; `null` when nobody is attached. */
  nameOf(port: Port): string | null {
    return this.#apps.find(port)?.name ?? null;
  }

  // News

  #lost({ user, id }: Producer, topic: string, count: number): void {
    this.#options.onLost(user, topic, count);
    const app = this.users.byName(user)?.app ?? null;
    if (app === null || !sameBytes(app.handle, id)) return;
    const details = new Map<string, string | number>([
      ["topic", topic],
      ["count", count],
    ]);
    app.port.send({ type: "NOTICE", kind: "lost", details });
  }

  #epochChanged(from: number, to: number): void {
    let waiting = 0;
    for (const user of this.users.all()) waiting += user.marks.pending;
    this.mayComeTwice += waiting;
    const details = new Map([["from", from], ["to", to]]);
    for (const port of this.#apps.ports()) {
      port.send({ type: "NOTICE", kind: "epoch", details });
    }
    this.#options.onEpochChanged(from, to, waiting);
  }

  #rejected(producer: Producer, item: RejectedItem): void {
    this.#options.onRejected(producer.user, item);
    const app = this.users.byName(producer.user)?.app;
    app?.port.send({
      type: "NOTICE",
      kind: "rejected",
      details: new Map<string, string | number>([
        ["topic", item.topic],
        ["count", item.count],
        ["code", item.error.code],
        ["message", item.error.message],
      ]),
    });
  }

  /** Nothing that was promised goes in silence, wherever the damage is. */
  #damaged(
    producer: Producer | null,
    topic: string | null,
    count: number,
  ): void {
    this.#options.logger.error("damaged", { place: "outbox", topic, count });
    if (producer === null || topic === null) return;
    this.#rejected(producer, { topic, count, error: lostError(count) });
  }

  // Time

  /**
   * To be called a few times a second.
   *
   * @param lateMs How late the call is: for so long this process stood still, and
   *   no handle could come back.
   */
  tick(lateMs: number = 0): void {
    const { clock, commits } = this.#options;
    commits.store.timeline.look();
    const nowMs = clock.monotonicMs();
    this.outbox.tick();
    this.upstream.tick(nowMs);
    this.users.tick(nowMs, lateMs);
  }

  /** Waits for reads and writes under way. */
  async close(): Promise<void> {
    this.upstream.close();
    await this.outbox.close();
    await this.users.settle();
  }
}
