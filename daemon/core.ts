/**
 * What the daemon decides: which user a connection speaks for, what becomes of a
 * publish, a delivery, an acknowledgement; what is kept, and what is told to the
 * broker. No socket and no timer of its own: messages come in, messages go out
 * through ports, and what must last goes through the commits.
 *
 * @module
 */

import type { Clock, Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import type {
  Attach,
  Message,
  MessageNamed,
  Outcome,
  Publish,
} from "../protocol/messages.ts";
import { checkName, userOf } from "../protocol/names.ts";
import { checkKnown, checkNoCustody } from "../protocol/outcomes_check.ts";
import { checkBatch, checkPublishTopic } from "../protocol/publish_check.ts";
import type { Logger } from "../program/log.ts";
import type { Port } from "./port.ts";
import { AppBinding } from "./user/app_binding.ts";
import type { Base } from "./base.ts";
import type { Commits } from "./commits.ts";
import { Mark } from "./user/mark.ts";
import { Outbox, type RejectedItem } from "./outbox/outbox.ts";
import { lostError } from "./outbox/losses.ts";
import type { Producer } from "./outbox/producers.ts";
import { sameBytes } from "./same_bytes.ts";
import { TABLE } from "./tables.ts";
import { Upstream } from "./upstream/upstream.ts";
import { User, type UserContext } from "./user/user.ts";
import { Windows } from "./user/windows.ts";

/** A handle that has not taken for this long gets the rest by way of the inbox. */
const STALLED_MS = 500;
/** How much more may come with each tick of what nobody waits for, and one window. */
const UNHURRIED_BYTES = 4 * 1024 * 1024;
/** A look at the time that comes so late: this process stood still. */
const STOOD_STILL_MS = 1_000;

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
  readonly users = new Map<string, User>();
  readonly outbox: Outbox;
  /** Messages here that somebody may have had, since a store was replaced. */
  mayComeTwice = 0;
  #options: CoreOptions;
  #context: UserContext;
  #byKey = new Map<number, User>();
  #byPort = new Map<Port, User>();
  readonly #upstream: Upstream;
  #nextUserKey = 1;
  #nextMarkKey = 1;

  constructor(options: CoreOptions) {
    this.#options = options;
    this.#context = {
      commits: options.commits,
      clock: options.clock,
      inboxBytesMax: options.inboxBytesMax,
      windows: new Windows(),
      unhurried: new Set(),
      nextMarkKey: () => this.#nextMarkKey++,
    };
    let requests = 0;
    const nextRequest = () => ++requests;
    this.outbox = new Outbox({
      commits: options.commits,
      clock: options.clock,
      outboxBytesMax: options.outboxBytesMax,
      outboxLog: options.base.outboxLog,
      deadLog: options.base.deadLog,
      base: options.base,
      nextRequest,
      onRejected: (producer, item) => this.#rejected(producer, item),
      onLost: (producer, topic, count) => this.#lost(producer, topic, count),
      onDamaged: (producer, topic, count) =>
        this.#damaged(producer, topic, count),
      onConfused: options.onConfused,
    });
    const { commits, base, entropy, logger, onConfused } = options;
    this.#upstream = new Upstream({
      commits,
      base,
      clock: options.clock,
      onEpochChanged: (from, to) => this.#epochChanged(from, to),
      entropy,
      logger,
      onConfused,
      nextRequest,
      outbox: this.outbox,
      users: {
        all: () => this.users.values(),
        byKey: (key) => this.#byKey.get(key),
        byName: (name) => this.users.get(name),
      },
    });
  }

  /** What the link is to be told and tells. */
  get upstream(): Upstream {
    return this.#upstream;
  }

  /** Takes over what was stored. */
  async load(): Promise<void> {
    const { store } = this.#options.commits;
    for (const [key, bytes] of store.takeEntries(TABLE.users)) {
      const user = User.load(this.#context, key, bytes);
      this.users.set(user.name, user);
      this.#byKey.set(key, user);
      this.#nextUserKey = Math.max(this.#nextUserKey, key + 1);
    }
    for (const [key, bytes] of store.takeEntries(TABLE.marks)) {
      const mark = Mark.load(key, bytes);
      this.#byKey.get(mark.userKey)?.marks.add(mark);
      this.#nextMarkKey = Math.max(this.#nextMarkKey, key + 1);
    }
    this.#upstream.load(
      store.takeEntries(TABLE.destroys),
      store.takeEntries(TABLE.subscriptions),
    );
    await this.outbox.load(store.takeEntries(TABLE.streams));
    this.#checkOwnEpoch();
    const handles = new Set<string>();
    for (const { handle } of this.users.values()) {
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
    for (const user of this.users.values()) {
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

  #lost({ user, id }: Producer, topic: string, count: number): void {
    this.#options.onLost(user, topic, count);
    const app = this.users.get(user)?.app ?? null;
    if (app === null || !sameBytes(app.handle, id)) return;
    const details = new Map<string, string | number>([
      ["topic", topic],
      ["count", count],
    ]);
    app.port.send({ type: "NOTICE", kind: "lost", details });
  }

  #epochChanged(from: number, to: number): void {
    let waiting = 0;
    for (const user of this.users.values()) waiting += user.marks.pending;
    this.mayComeTwice += waiting;
    const details = new Map([["from", from], ["to", to]]);
    for (const port of this.#byPort.keys()) {
      port.send({ type: "NOTICE", kind: "epoch", details });
    }
    this.#options.onEpochChanged(from, to, waiting);
  }

  // Apps

  /** A message of an app. A promise: the connection is not read until it settles. */
  onApp(port: Port, message: Message): void | Promise<void> {
    const pending = this.#take(port, message);
    if (pending !== undefined) return pending;
    // What the broker does not take goes to the outbox.
    const producer = message.type === "PUBLISH"
      ? this.#byPort.get(port)?.app?.producer
      : undefined;
    const room = producer === undefined
      ? this.#upstream.room()
      : this.outbox.room(producer);
    return room ?? undefined;
  }

  #take(port: Port, message: Message): void | Promise<void> {
    switch (message.type) {
      case "PUBLISH":
        return this.#publish(port, message);
      case "ACK":
        return this.#acknowledge(this.#userOf(port), message);
      case "CREDIT":
        return this.#grant(this.#userOf(port), message);
      case "ATTACH":
        return this.#attach(port, message);
      case "DETACH":
        return this.#detach(port, message);
      case "DESTROY":
        return this.#destroy(port, message);
      case "SUBSCRIBE":
      case "UNSUBSCRIBE":
        return this.#upstream.forward(
          this.#userAt(port, message.ref),
          port,
          message,
        );
      case "ERROR":
        // What an app thinks of us is told when it ends the conversation.
        return;
      default:
        throw new MomError(
          "bad_message",
          `Cannot handle ${message.type} of an app`,
        );
    }
  }

  /** An app's connection is gone. */
  onAppLost(port: Port): void {
    const user = this.#byPort.get(port);
    if (user === undefined) return;
    this.#byPort.delete(port);
    if (user.app?.port === port && user.unbind(false)) {
      this.#upstream.attach(user);
    }
  }

  /** Who speaks over a connection; `null` when nobody is attached. */
  nameOf(port: Port): string | null {
    return this.#byPort.get(port)?.name ?? null;
  }

  #userOf(port: Port): User {
    const user = this.#byPort.get(port);
    if (user === undefined) {
      throw new MomError(
        "bad_message",
        "Cannot handle message: no user is attached",
      );
    }
    return user;
  }

  /** The user of a connection, which calls it `ref`. */
  #userAt(port: Port, ref: number): User {
    const user = this.#userOf(port);
    if (user.app?.ref === ref) return user;
    throw new MomError(
      "bad_message",
      `Cannot handle message: no user is attached at ref ${ref}`,
    );
  }

  /** What an app had not read is gone: more can be pushed. */
  onAppDrained(port: Port): void {
    this.#byPort.get(port)?.deliveries.pump();
  }

  #grant(user: User, { ref, total }: MessageNamed<"CREDIT">): void {
    if (ref === user.app?.ref) user.grant(total);
  }

  async #attach(port: Port, message: Attach): Promise<void> {
    checkName("user", message.name);
    checkNoCustody(message.known);
    checkKnown(message.known);
    await this.#makeWay(port, message);
    if (port.isClosed) return;
    const user = this.#findOrMake(message, message.known.length / 4);
    const { handle } = user;
    if (handle !== null && !sameBytes(handle, message.handle)) {
      this.outbox.endProducer(handle);
    }
    if (user.app !== null) {
      this.#byPort.delete(user.app.port);
      if (user.unbind(false)) this.#upstream.attach(user);
    }
    this.#byPort.set(port, user);
    const app = new AppBinding(
      port,
      message.ref,
      this.outbox.producer(message.handle, user.name),
      message.credit,
    );
    user.bind(app, message.known);
    this.#options.commits.whenDone(() => {
      port.send({
        type: "ATTACHED",
        request: message.request,
        ref: message.ref,
        user: userOf(user.name, this.#options.base.machine),
        incarnation: user.incarnation,
        suspect: user.suspect,
        epoch: this.#upstream.epoch,
      });
      user.open(app);
    });
    if (user.flow.state === "down") this.#upstream.attach(user);
  }

  /** One handle at a time (PROTOCOL 5.4). */
  async #makeWay(port: Port, message: Attach): Promise<void> {
    const mine = this.#byPort.get(port);
    if (mine !== undefined && mine.name !== message.name) {
      throw new MomError(
        "bad_message",
        "Cannot attach: the connection has a user already",
      );
    }
    const older = this.users.get(message.name)?.app;
    if (older === undefined || older === null || older.port === port) return;
    if (older.port.isClosed) return;
    if (!sameBytes(older.handle, message.handle)) {
      if (await older.port.ping(LIMITS.takeoverPingMs)) {
        throw new MomError(
          "name_in_use",
          `Cannot attach "${message.name}": another handle uses that name`,
        );
      }
    }
    older.port.abort();
    this.onAppLost(older.port);
  }

  #findOrMake(message: Attach, ranges: number): User {
    const known = this.users.get(message.name);
    if (ranges > 0) known?.marks.checkRoomFor(ranges);
    if (!message.create) {
      if (
        known === undefined ||
        !sameBytes(known.incarnation, message.incarnation)
      ) {
        throw new MomError(
          "user_expired",
          `Cannot attach "${message.name}": the user ended while its handle was away`,
        );
      }
      // Its producer has ended with it: what it sent would not be known again.
      if (known.handle === null || !sameBytes(known.handle, message.handle)) {
        throw new MomError(
          "user_expired",
          `Cannot attach "${message.name}": another handle took the name while this one was away`,
        );
      }
      return known;
    }
    return known ?? this.#makeUser(message);
  }

  #makeUser({ name, named, incarnation }: Attach): User {
    // A user that ended counts until the broker knows it.
    const count = this.users.size + this.#upstream.destroyCount;
    if (count >= LIMITS.usersPerMachine) {
      throw new MomError(
        "storage_full",
        `Cannot attach "${name}": this machine has ${count} users, which is the most`,
      );
    }
    const key = this.#nextUserKey++;
    const log = this.#options.commits.createLog();
    // The message's bytes are a view on what was read.
    const identity = { name, named, incarnation: incarnation.slice() };
    const user = new User(this.#context, key, identity, log);
    this.users.set(name, user);
    this.#byKey.set(key, user);
    this.#options.commits.changed(user);
    return user;
  }

  #publish(port: Port, message: Publish): void {
    const user = this.#userOf(port);
    const { app } = user;
    if (app === null || !sameBytes(app.handle, message.producer)) {
      throw new MomError(
        "bad_message",
        "Cannot publish: the producer is not the handle",
      );
    }
    checkPublishTopic(message.topic);
    checkBatch(message, this.#options.maxMessageBytes);
    this.outbox.publish(port, app.producer, message);
  }

  /** Only what is with the app: it cannot know anything of other messages. */
  #acknowledge(
    user: User,
    { ref, number, outcomes, awaited }: MessageNamed<"ACK">,
  ): void {
    const { app } = user;
    if (app === null || app.ref !== ref) return;
    checkNoCustody(outcomes);
    if (awaited === 1) user.flow.hurry();
    const ack = app.openAck(number, 0);
    for (let i = 0; i < outcomes.length; i += 4) {
      const [outcome, logId, from, to] = outcomes.slice(i, i + 4);
      for (const [a, b] of app.inHand(logId, from, to)) {
        const upstream = user.outcomes.settle(outcome as Outcome, logId, a, b);
        ack.upstream = Math.max(ack.upstream, upstream);
      }
    }
    this.#options.commits.whenDone(() => {
      ack.local = true;
      user.confirmToApp();
    });
  }

  #detach(port: Port, { request, ref }: MessageNamed<"DETACH">): void {
    const user = this.#userAt(port, ref);
    const { app } = user;
    this.#byPort.delete(port);
    const wasHolding = user.unbind(true);
    if (app !== null) this.outbox.endProducer(app.handle);
    if (!user.named) this.#end(user);
    else if (wasHolding) this.#upstream.attach(user);
    this.#options.commits.whenDone(() => port.send({ type: "OK", request }));
  }

  #destroy(
    port: Port,
    { name, incarnation, request }: MessageNamed<"DESTROY">,
  ): void {
    const user = this.users.get(name);
    if (
      user !== undefined &&
      (incarnation === null || sameBytes(user.incarnation, incarnation))
    ) {
      const { app } = user;
      if (app !== null) {
        this.#byPort.delete(app.port);
        user.unbind(true);
        this.outbox.endProducer(app.handle);
        if (app.port !== port) {
          app.port.fail(
            new MomError("user_expired", `User "${name}" was destroyed`),
          );
        }
      }
      this.#end(user);
    }
    this.#options.commits.whenDone(() => port.send({ type: "OK", request }));
  }

  /** Ends a user here, and at the broker as soon as there is one. */
  #end(user: User): void {
    this.users.delete(user.name);
    this.#byKey.delete(user.key);
    // Of one that stayed away for too long: the others have said goodbye.
    if (user.handle !== null) this.outbox.endProducer(user.handle);
    const { commits } = this.#options;
    user.end().catch((error) => commits.fail(error));
    this.#upstream.destroy(user);
  }

  #rejected(producer: Producer, item: RejectedItem): void {
    this.#options.onRejected(producer.user, item);
    const app = this.users.get(producer.user)?.app;
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
    this.#upstream.tick(nowMs);
    for (const user of [...this.users.values()]) {
      if (lateMs >= STOOD_STILL_MS && user.goneMs !== null) {
        user.goneMs = Math.min(nowMs, user.goneMs + lateMs);
      }
      user.deliveries.spill(STALLED_MS);
      if (user.named || user.goneMs === null) continue;
      if (nowMs - user.goneMs >= LIMITS.unnamedGoneMs) this.#end(user);
    }
    this.#admitUnhurried();
  }

  #admitUnhurried(): void {
    let bytes = 0;
    for (const credit of this.#context.unhurried) {
      if (bytes >= UNHURRIED_BYTES) return;
      bytes += credit.admitUnhurried();
    }
  }

  /** Waits for reads and writes under way. */
  async close(): Promise<void> {
    this.#upstream.close();
    await this.outbox.close();
    for (const user of this.users.values()) await user.inbox.settle();
  }
}
