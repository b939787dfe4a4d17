/**
 * What the daemon decides: which user a connection speaks for, what becomes of a
 * publish, a delivery, an acknowledgement; what is kept, and what is told to the
 * broker. No socket and no timer of its own: messages come in, messages go out
 * through ports, and what must last goes through the ledger.
 *
 * @module
 */

import { remainingMs, withRemaining } from "../protocol/attributes.ts";
import { countRecords, recordEnd } from "../protocol/batch.ts";
import type { Clock, Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { asMomError } from "../protocol/handshake.ts";
import { LIMITS } from "../protocol/limits.ts";
import {
  type Attach,
  type Attached,
  type Deliver,
  type ErrorMessage,
  type Gap,
  type Message,
  type MessageNamed,
  OUTCOME,
  type Outcome,
  type Publish,
  TARGET_FLAG,
} from "../protocol/messages.ts";
import { checkName, userOf } from "../protocol/names.ts";
import { checkTopic } from "../protocol/topics.ts";
import type { Logger } from "../program/log.ts";
import { AppBinding, type Port } from "./app_binding.ts";
import { costOf, type Delivery } from "./delivery.ts";
import { Destroys } from "./destroys.ts";
import type { Ledger } from "./ledger.ts";
import { Mark } from "./mark.ts";
import { Outbox, type RejectedItem } from "./outbox.ts";
import type { Producer } from "./producers.ts";
import { TABLE } from "./tables.ts";
import { sameBytes, User, type UserContext } from "./user.ts";
import { USER_WINDOW_BYTES } from "./user_flow.ts";

/** Credit for all deliveries of the link together. */
export const LINK_WINDOW_BYTES = 32 * 1024 * 1024;
/** A handle that has not taken for this long gets the rest by way of the inbox. */
const STALLED_MS = 500;

/** What a core stands on. */
export interface CoreOptions {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly machine: string;
  readonly maxMessageBytes: number;
  readonly inboxBytesMax: number;
  readonly outboxBytesMax: number;
  readonly outboxLog: number;
  readonly deadLog: number;
  /** The link's answers make no sense: it is closed. */
  onConfused(error: MomError): void;
  /** Something became a dead letter of this daemon. */
  onRejected(user: string, item: RejectedItem): void;
}

interface Asked {
  readonly port: Port;
  readonly request: number;
}

type Answer = { onOk(): void; onError(error: ErrorMessage | MomError): void };

/** The daemon without its sockets. */
export class DaemonCore {
  readonly users = new Map<string, User>();
  readonly outbox: Outbox;
  #options: CoreOptions;
  #context: UserContext;
  #byKey = new Map<number, User>();
  #byPort = new Map<Port, User>();
  #destroys: Destroys;
  #nextUserKey = 1;
  #nextMarkKey = 1;
  #request = 0;
  #answers = new Map<number, Answer>();
  #link: Port | null = null;
  #epoch = 0;
  /** Which ATTACH of a user is the valid one. */
  #attaching = new Map<User, number>();
  /** This process, as the broker's sessions know it (PROTOCOL 5.3). */
  #instance: Uint8Array;
  #linkReleased = 0;
  #linkGranted = 0;

  constructor(options: CoreOptions) {
    this.#options = options;
    this.#instance = options.entropy.bytes(16);
    this.#context = {
      ledger: options.ledger,
      clock: options.clock,
      inboxBytesMax: options.inboxBytesMax,
      nextMarkKey: () => this.#nextMarkKey++,
    };
    this.#destroys = new Destroys(options.ledger);
    this.outbox = new Outbox({
      ledger: options.ledger,
      clock: options.clock,
      outboxBytesMax: options.outboxBytesMax,
      outboxLog: options.outboxLog,
      deadLog: options.deadLog,
      nextRequest: () => ++this.#request,
      onRejected: (producer, item) => this.#rejected(producer, item),
      onConfused: options.onConfused,
    });
  }

  /** Whether there is a link to the broker. */
  get isLinked(): boolean {
    return this.#link !== null;
  }

  /** Takes over what was stored. */
  async load(): Promise<void> {
    const { store } = this.#options.ledger;
    for (const [key, bytes] of store.takeEntries(TABLE.users)) {
      const user = User.load(this.#context, key, bytes);
      this.users.set(user.name, user);
      this.#byKey.set(key, user);
      this.#nextUserKey = Math.max(this.#nextUserKey, key + 1);
    }
    for (const [key, bytes] of store.takeEntries(TABLE.marks)) {
      const mark = Mark.load(key, bytes);
      this.#byKey.get(mark.userKey)?.addMark(mark);
      this.#nextMarkKey = Math.max(this.#nextMarkKey, key + 1);
    }
    this.#destroys.load(store.takeEntries(TABLE.destroys));
    await this.outbox.load(store.takeEntries(TABLE.streams));
  }

  // Apps

  /** A message of an app. A promise: the connection is not read until it settles. */
  onApp(port: Port, message: Message): void | Promise<void> {
    switch (message.type) {
      case "PUBLISH":
        return this.#publish(port, message);
      case "ACK":
        return this.#acknowledge(
          this.#userOf(port),
          message.number,
          message.outcomes,
        );
      case "CREDIT":
        if (message.ref !== null) this.#userOf(port).grant(message.total);
        return;
      case "ATTACH":
        return this.#attach(port, message);
      case "DETACH":
        return this.#detach(port, message.request);
      case "DESTROY":
        return this.#destroy(port, message);
      case "SUBSCRIBE":
      case "UNSUBSCRIBE":
        return this.#forward(port, message);
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
      this.#attachUpstream(user);
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

  async #attach(port: Port, message: Attach): Promise<void> {
    checkName("user", message.name);
    await this.#makeWay(port, message);
    if (port.isClosed) return;
    const user = this.#findOrMake(message);
    const { handle } = user;
    if (handle !== null && !sameBytes(handle, message.handle)) {
      this.outbox.endProducer(handle);
    }
    if (user.app !== null) {
      this.#byPort.delete(user.app.port);
      if (user.unbind(false)) this.#attachUpstream(user);
    }
    this.#byPort.set(port, user);
    const app = new AppBinding(
      port,
      message.ref,
      message.handle,
      message.credit,
    );
    user.bind(app, message.known);
    this.outbox.producer(message.handle, user.name);
    this.#options.ledger.after(() => {
      port.send({
        type: "ATTACHED",
        request: message.request,
        ref: message.ref,
        user: userOf(user.name, this.#options.machine),
        incarnation: user.incarnation,
        suspect: user.suspect,
        epoch: this.#epoch,
      });
      user.open(app);
    });
    if (user.flow.state === "down") this.#attachUpstream(user);
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

  #findOrMake(message: Attach): User {
    const known = this.users.get(message.name);
    if (!message.create) {
      if (
        known !== undefined && sameBytes(known.incarnation, message.incarnation)
      ) return known;
      throw new MomError(
        "user_expired",
        `Cannot attach "${message.name}": the user ended while its handle was away`,
      );
    }
    return known ?? this.#makeUser(message);
  }

  #makeUser({ name, named, incarnation }: Attach): User {
    const key = this.#nextUserKey++;
    const log = this.#options.ledger.createLog();
    // The message's bytes are a view on what was read.
    const identity = { name, named, incarnation: incarnation.slice() };
    const user = new User(this.#context, key, identity, log);
    this.users.set(name, user);
    this.#byKey.set(key, user);
    this.#options.ledger.touch(user);
    return user;
  }

  #publish(port: Port, message: Publish): void | Promise<void> {
    const user = this.#userOf(port);
    const { app } = user;
    if (app === null || !sameBytes(app.handle, message.producer)) {
      throw new MomError(
        "bad_message",
        "Cannot publish: the producer is not the handle",
      );
    }
    this.#checkPublish(message);
    const producer = this.outbox.producer(app.handle, user.name);
    this.outbox.publish(port, producer, message);
    return this.outbox.room() ?? undefined;
  }

  #checkPublish({ topic, batch, count }: Publish): void {
    checkTopic(topic);
    if (topic.startsWith("$")) {
      throw new MomError(
        "topic_invalid",
        `Cannot publish to "${topic}": it is mom's own`,
      );
    }
    const found = countRecords(batch);
    if (found !== count) {
      throw new MomError(
        "bad_message",
        `Cannot publish: count is ${count}, the batch has ${found} records`,
      );
    }
    const max = this.#options.maxMessageBytes + LIMITS.headerBytes +
      RECORD_OVERHEAD_BYTES;
    if (batch.length <= max) return;
    for (let at = 0; at < batch.length;) {
      const end = recordEnd(batch, at);
      if (end - at > max) {
        throw new MomError(
          "message_too_large",
          `Cannot publish: a record of ${
            end - at
          } bytes is above the limit of ${max}`,
        );
      }
      at = end;
    }
  }

  #acknowledge(user: User, number: number, outcomes: readonly number[]): void {
    const { app } = user;
    if (app === null) return;
    const ack = app.openAck(number, 0);
    for (let i = 0; i < outcomes.length; i += 4) {
      const outcome = outcomes[i];
      if (outcome <= OUTCOME.custody || outcome > OUTCOME.trimmed) continue;
      const upstream = user.settle(
        outcome as Outcome,
        outcomes[i + 1],
        outcomes[i + 2],
        outcomes[i + 3],
      );
      ack.upstream = Math.max(ack.upstream, upstream);
    }
    this.#options.ledger.after(() => {
      ack.local = true;
      user.confirmToApp();
    });
  }

  #detach(port: Port, request: number): void {
    const user = this.#userOf(port);
    const { app } = user;
    this.#byPort.delete(port);
    const wasHolding = user.unbind(true);
    if (app !== null) this.outbox.endProducer(app.handle);
    if (!user.named) this.#end(user);
    else if (wasHolding) this.#attachUpstream(user);
    this.#options.ledger.after(() => port.send({ type: "OK", request }));
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
    this.#options.ledger.after(() => port.send({ type: "OK", request }));
  }

  /** Ends a user here, and at the broker as soon as there is one. */
  #end(user: User): void {
    this.users.delete(user.name);
    this.#byKey.delete(user.key);
    this.#attaching.delete(user);
    const destroy = this.#destroys.add(user.name, user.brokerIncarnation);
    void user.end();
    this.#options.ledger.after(() => {
      if (this.#link !== null) this.#sendDestroy(destroy.key);
    });
  }

  /** What only the broker can do. */
  #forward(
    port: Port,
    message: MessageNamed<"SUBSCRIBE"> | MessageNamed<"UNSUBSCRIBE">,
  ): void {
    const user = this.#userOf(port);
    if (this.#link === null) {
      throw new MomError(
        "broker_unavailable",
        `Cannot ${message.type.toLowerCase()} "${message.filter}": there is no link to the broker`,
      );
    }
    const asked: Asked = { port, request: message.request };
    const request = this.#ask({
      onOk: () => asked.port.send({ type: "OK", request: asked.request }),
      onError: (error) => {
        if (error instanceof MomError) asked.port.refuse(error, asked.request);
        else asked.port.send({ ...error, request: asked.request });
      },
    });
    // Behind the user's own ATTACH, which may wait for the disk.
    const link = this.#link;
    this.#options.ledger.after(() =>
      link.send({ ...message, request, ref: user.key })
    );
  }

  // The link

  /** There is a link. Everything that the broker must know goes first. */
  linkUp(link: Port, epoch: number): void {
    this.#link = link;
    this.#epoch = epoch;
    this.#linkReleased = 0;
    this.#linkGranted = LINK_WINDOW_BYTES;
    this.#options.ledger.after(() => {
      for (const key of this.#destroys.keys()) this.#sendDestroy(key);
    });
    for (const user of this.users.values()) this.#attachUpstream(user);
    this.outbox.linkUp(link);
  }

  /** The link is gone: its promises are this daemon's now. */
  linkDown(): void {
    if (this.#link === null) return;
    this.#link = null;
    for (const user of this.users.values()) this.#endFlow(user);
    this.#attaching.clear();
    this.outbox.linkDown();
    const lost = new MomError(
      "outcome_unknown",
      "The link ended before the broker's answer",
    );
    for (const answer of this.#answers.values()) answer.onError(lost);
    this.#answers.clear();
  }

  #endFlow(user: User): void {
    user.keepUnconfirmed();
    user.dropWaiting();
    user.app?.detachAcks();
    user.flow.end();
    this.#options.ledger.after(() => user.confirmToApp());
  }

  /** Begins a user's flow anew: the broker sends what is not known here (PROTOCOL 5.5). */
  #attachUpstream(user: User): void {
    const link = this.#link;
    if (link === null) return;
    this.#endFlow(user);
    const known = user.known();
    const listed: number[] = [];
    for (let i = 0; i < known.length; i += 4) {
      if (known[i] > OUTCOME.custody) listed.push(...known.slice(i, i + 4));
    }
    user.flow.begin(link, listed);
    const request = this.#ask({
      onOk: () => {},
      onError: (error) => this.#attachRefused(user, request, error),
    });
    this.#attaching.set(user, request);
    this.#options.ledger.after(() => {
      if (this.#attaching.get(user) !== request) return;
      link.send({
        type: "ATTACH",
        request,
        ref: user.key,
        name: user.name,
        named: user.named,
        incarnation: user.brokerIncarnation ?? user.incarnation,
        create: user.brokerIncarnation === null,
        handle: this.#instance,
        credit: USER_WINDOW_BYTES,
        known,
      });
    });
  }

  #attachRefused(
    user: User,
    request: number,
    error: ErrorMessage | MomError,
  ): void {
    if (this.#attaching.get(user) !== request || error instanceof MomError) {
      return;
    }
    this.#options.logger.warn("attach_refused", {
      user: user.name,
      code: error.code,
    });
    if (error.code !== "user_expired") {
      return this.#options.onConfused(asMomError(error));
    }
    // The broker has lost the user, and with it its subscriptions. What lies here
    // is still its own; the app is told.
    user.brokerIncarnation = null;
    this.#options.ledger.touch(user);
    user.app?.port.fail(asMomError(error));
    this.#attachUpstream(user);
  }

  /** A message of the broker. */
  onBroker(message: Message): void {
    switch (message.type) {
      case "DELIVER":
        return this.#deliver(message);
      case "RECEIPT":
        return this.outbox.onReceipt(message);
      case "CONFIRM":
        return this.#confirm(message.ref, message.number);
      case "ATTACHED":
        return this.#attached(message);
      case "GAP":
        return this.#gap(message);
      case "OK":
        return this.#answer(message.request, (answer) => answer.onOk());
      case "ERROR":
        if (this.outbox.onError(message)) return;
        if (message.request === null) return;
        return this.#answer(
          message.request,
          (answer) => answer.onError(message),
        );
      default:
        return;
    }
  }

  #ask(answer: Answer): number {
    const request = ++this.#request;
    this.#answers.set(request, answer);
    return request;
  }

  #answer(request: number, act: (answer: Answer) => void): void {
    const answer = this.#answers.get(request);
    this.#answers.delete(request);
    if (answer !== undefined) act(answer);
  }

  #attached(message: Attached): void {
    this.#answers.delete(message.request);
    const user = this.#byKey.get(message.ref);
    if (user === undefined || this.#attaching.get(user) !== message.request) {
      return;
    }
    this.#attaching.delete(user);
    if (
      user.brokerIncarnation === null ||
      !sameBytes(user.brokerIncarnation, message.incarnation)
    ) {
      user.brokerIncarnation = message.incarnation.slice();
      this.#options.ledger.touch(user);
    }
    const { flow } = user;
    flow.state = "attached";
    flow.suspect = message.suspect;
    user.confirmed(flow.listed);
    flow.listed = [];
    user.reportAll();
  }

  #deliver(message: Deliver): void {
    const {
      targets,
      logId,
      topic,
      baseOffset,
      count,
      position,
      time,
      sender,
      batch,
    } = message;
    const left = remainingMs(message.attributes);
    const deadlineMs = left === null
      ? null
      : this.#options.clock.wallMs() + left;
    const attributes = withRemaining(message.attributes, null);
    for (let i = 0; i < targets.length; i += 2) {
      const user = this.#byKey.get(targets[i]);
      // An older flow's: the broker sends it again (PROTOCOL 5.5).
      if (user === undefined || user.flow.state !== "attached") continue;
      // Whether it may have been handed over before is known better here.
      const flags = targets[i + 1] & TARGET_FLAG.manual;
      const delivery: Delivery = {
        logId,
        topic,
        base: baseOffset,
        count,
        position,
        time,
        sender,
        flags,
        attributes,
        deadlineMs,
        batch,
      };
      user.receive(delivery);
    }
    this.#releaseLink(costOf(batch.length));
  }

  #releaseLink(cost: number): void {
    this.#linkReleased += cost;
    const total = this.#linkReleased + LINK_WINDOW_BYTES;
    if (total - this.#linkGranted < LINK_WINDOW_BYTES / 4) return;
    this.#linkGranted = total;
    this.#link?.send({ type: "CREDIT", ref: null, total });
  }

  #gap(message: Gap): void {
    for (let i = 0; i < message.targets.length; i += 2) {
      const app = this.#byKey.get(message.targets[i])?.app;
      if (app?.isReceiving) {
        app.port.send({ ...message, targets: [app.ref, 0] });
      }
    }
  }

  #confirm(ref: number, number: number): void {
    const user = this.#byKey.get(ref);
    if (user === undefined || user.flow.state !== "attached") return;
    for (const ack of user.flow.confirm(number)) user.confirmed(ack.outcomes);
    user.confirmToApp();
  }

  #sendDestroy(key: number): void {
    const destroy = this.#destroys.get(key);
    if (destroy === undefined || this.#link === null) return;
    const request = this.#ask({
      onOk: () => this.#destroys.done(key),
      onError: (error) => {
        if (error instanceof MomError) return;
        this.#options.logger.warn("destroy_refused", {
          user: destroy.name,
          code: error.code,
        });
      },
    });
    const { name, incarnation } = destroy;
    this.#link.send({ type: "DESTROY", request, name, incarnation });
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

  // Time

  /** To be called a few times a second. */
  tick(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const user of [...this.users.values()]) {
      user.spill(STALLED_MS);
      if (user.named || user.goneMs === null) continue;
      if (nowMs - user.goneMs >= LIMITS.unnamedGoneMs) this.#end(user);
    }
  }

  /** Waits for reads and writes under way. */
  async close(): Promise<void> {
    this.#link = null;
    await this.outbox.close();
    for (const user of this.users.values()) await user.inbox.settle();
  }
}

/** Heads of a record, of its array and of its value. */
const RECORD_OVERHEAD_BYTES = 64;
