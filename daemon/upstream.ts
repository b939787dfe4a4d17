/**
 * The link as the daemon uses it: users are attached at the broker, what it
 * delivers is given to them, what became of it is confirmed, and what only the
 * broker can do is asked for.
 *
 * @module
 */

import { remainingMs, withRemaining } from "../protocol/attributes.ts";
import type { Clock, Entropy } from "../protocol/clock.ts";
import { checkDeliver } from "../protocol/deliver_check.ts";
import { MomError } from "../protocol/errors.ts";
import { asMomError } from "../protocol/handshake.ts";
import { LIMITS } from "../protocol/limits.ts";
import { epochOf } from "../protocol/log_id.ts";
import {
  type Attached,
  type Deliver,
  type ErrorMessage,
  type Gap,
  LEVEL,
  type Message,
  type MessageNamed,
  OUTCOME,
  TARGET_FLAG,
} from "../protocol/messages.ts";
import type { Logger } from "../program/log.ts";
import type { Port } from "./app_binding.ts";
import type { Base } from "./base.ts";
import { costOf, type Delivery } from "./delivery.ts";
import { Destroys } from "./destroys.ts";
import type { Commits } from "./commits.ts";
import type { Outbox } from "./outbox.ts";
import { type KnownSubscription, Subscriptions } from "./subscriptions.ts";
import { sameBytes, type User } from "./user.ts";

/** Credit for all deliveries of the link together. */
export const LINK_WINDOW_BYTES: number = 32 * 1024 * 1024;

/** The users of this machine, as the link needs them. */
export interface LinkedUsers {
  /** All of them. */
  all(): Iterable<User>;
  /** The one whose ref on the link is `key`. */
  byKey(key: number): User | undefined;
  /** The one with that name. */
  byName(name: string): User | undefined;
}

/** What an upstream stands on. */
export interface UpstreamOptions {
  readonly commits: Commits;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly users: LinkedUsers;
  readonly outbox: Outbox;
  /** A number for a request to the broker; it grows. */
  nextRequest(): number;
  /** The link's answers make no sense: it is closed. */
  onConfused(error: MomError): void;
  /** The broker's store is another one than at the last link. */
  onEpochChanged(from: number, to: number): void;
}

/** What the broker answers when it has done already what is asked for. */
const DONE_ALREADY = {
  SUBSCRIBE: "already_subscribed",
  UNSUBSCRIBE: "not_subscribed",
} as const;

type Answer = {
  onOk(): void;
  onError(error: ErrorMessage | MomError): void;
  /** An ATTACH of this ref, which ATTACHED answers and OK does not. */
  readonly ref?: number;
};

/** An app's SUBSCRIBE or UNSUBSCRIBE on its way. */
interface Forwarded {
  readonly sentMs: number;
  expire(): void;
}

/** This daemon's side of the link. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #commits: Commits;
  readonly #users: LinkedUsers;
  readonly #destroys: Destroys;
  /** This process, as the broker's sessions know it (PROTOCOL 5.3). */
  readonly #instance: Uint8Array;
  /** Which ATTACH of a user is the valid one. */
  readonly #attaching = new Map<User, number>();
  readonly #answers = new Map<number, Answer>();
  /** What a user's last ATTACH asked for along with it. */
  readonly #renewing = new Map<User, number[]>();
  readonly #subscriptions: Subscriptions;
  #link: Port | null = null;
  /** SUBSCRIBE and UNSUBSCRIBE that the broker has not answered, oldest first. */
  readonly #forwarded = new Map<number, Forwarded>();
  /** Apps that are not read on before it answers. */
  #waiting: (() => void)[] = [];
  #linkReleased = 0;
  #linkGranted = 0;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#commits = options.commits;
    this.#users = options.users;
    this.#instance = options.entropy.bytes(16);
    this.#destroys = new Destroys(options.commits);
    this.#subscriptions = new Subscriptions(options.commits);
  }

  /** The broker's epoch, 0 before the first link. */
  get epoch(): number {
    return this.#options.base.brokerEpoch;
  }

  /** Users that ended and that the broker does not know of yet. */
  get destroyCount(): number {
    return this.#destroys.size;
  }

  /** Resolves when an app may be read on; `null` when it may at once. */
  room(): Promise<void> | null {
    if (this.#link === null) return null;
    if (this.#link.bufferedBytes > LIMITS.unreadBytes) {
      return this.#link.drained(LIMITS.unreadBytes / 2);
    }
    if (this.#forwarded.size < LIMITS.forwardedRequests) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * To be called a few times a second: an app does not wait for ever for a broker
   * that answers life signs and nothing else.
   */
  tick(nowMs: number): void {
    for (const [request, { sentMs, expire }] of this.#forwarded) {
      if (nowMs - sentMs < LIMITS.answerMs) return;
      this.#answers.delete(request);
      this.#answered(request);
      expire();
    }
  }

  #answered(request: number): void {
    this.#forwarded.delete(request);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Takes over the destroys and subscriptions that were stored. */
  load(
    destroys: Map<number, Uint8Array>,
    subscriptions: Map<number, Uint8Array>,
  ): void {
    this.#destroys.load(destroys);
    this.#subscriptions.load(subscriptions);
  }

  /** A user ended here: the broker is told, now or when there is a link. */
  destroy(user: User): void {
    this.#forgetAttach(user);
    this.#subscriptions.drop(user.key);
    // The broker never heard of it, and nobody else has its name.
    if (!user.named && !user.isTold) return;
    const { name, brokerIncarnation, named } = user;
    const { key } = this.#destroys.add(name, brokerIncarnation, named);
    this.#commits.whenDone(() => this.#sendDestroy(key));
  }

  /** Nothing more is sent. */
  close(): void {
    this.#link = null;
  }

  /** What only the broker can do. */
  forward(
    user: User,
    port: Port,
    message: MessageNamed<"SUBSCRIBE"> | MessageNamed<"UNSUBSCRIBE">,
  ): void {
    if (this.#link === null) {
      throw new MomError(
        "broker_unavailable",
        `Cannot ${message.type.toLowerCase()} "${message.filter}": there is no link to the broker`,
      );
    }
    const asked = { port, request: message.request };
    const request = this.#ask({
      onOk: () => {
        this.#answered(request);
        this.#note(user, message);
        this.#commits.whenDone(() =>
          asked.port.send({ type: "OK", request: asked.request })
        );
      },
      onError: (error) => {
        this.#answered(request);
        if (error instanceof MomError) {
          return asked.port.refuse(error, asked.request);
        }
        if (error.code === DONE_ALREADY[message.type]) {
          this.#note(user, message);
        }
        asked.port.send({ ...error, request: asked.request });
      },
    });
    const late = new MomError(
      "outcome_unknown",
      `Cannot tell whether to ${message.type.toLowerCase()} "${message.filter}" worked: no answer of the broker within ${LIMITS.answerMs} ms`,
    );
    this.#forwarded.set(request, {
      sentMs: this.#options.clock.monotonicMs(),
      expire: () => asked.port.refuse(late, asked.request),
    });
    // Behind the user's own ATTACH, which may wait for the disk.
    const link = this.#link;
    this.#commits.whenDone(() =>
      link.send({ ...message, request, ref: user.key })
    );
  }

  #note(
    user: User,
    message: MessageNamed<"SUBSCRIBE"> | MessageNamed<"UNSUBSCRIBE">,
  ): void {
    if (!user.isEnded) this.#subscriptions.note(user.key, message);
  }

  /** There is a link. Everything that the broker must know goes first. */
  linkUp(
    link: Port,
    { epoch, maxMessageBytes }: { epoch: number; maxMessageBytes: number },
  ): void {
    this.#link = link;
    this.#adoptEpoch(epoch);
    this.#linkReleased = 0;
    this.#linkGranted = LINK_WINDOW_BYTES;
    this.#commits.whenDone(() => {
      for (const key of this.#destroys.keys()) this.#sendDestroy(key);
    });
    for (const user of this.#users.all()) this.attach(user);
    // Behind the users: the broker tells by them whose own a message is.
    this.#commits.whenDone(() => {
      if (this.#link === link) {
        this.#options.outbox.linkUp(link, maxMessageBytes);
      }
    });
  }

  #adoptEpoch(epoch: number): void {
    const { base } = this.#options;
    const before = base.brokerEpoch;
    if (before === epoch) return;
    base.brokerEpoch = epoch;
    this.#commits.changed(base);
    if (before === 0) return;
    this.#destroys.reopen();
    this.#options.onEpochChanged(before, epoch);
  }

  /** The link is gone: its promises are this daemon's now. */
  linkDown(): void {
    if (this.#link === null) return;
    this.#link = null;
    for (const user of this.#users.all()) this.#endFlow(user);
    this.#attaching.clear();
    this.#renewing.clear();
    this.#options.outbox.linkDown();
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
    this.#commits.whenDone(() => user.confirmToApp());
  }

  /** Begins a user's flow anew: the broker sends what is not known here (PROTOCOL 5.5). */
  attach(user: User): void {
    const link = this.#link;
    if (link === null) return;
    this.#endFlow(user);
    const known = user.known();
    const listed: number[] = [];
    for (let i = 0; i < known.length; i += 4) {
      if (known[i] > OUTCOME.custody) listed.push(...known.slice(i, i + 4));
    }
    const credit = user.flow.begin(link, listed);
    this.#forgetAttach(user);
    const request = this.#ask({
      ref: user.key,
      onOk: () => {},
      onError: (error) => this.#attachRefused(user, request, error),
    });
    this.#attaching.set(user, request);
    this.#commits.whenDone(() => {
      if (this.#attaching.get(user) !== request) return;
      user.isTold = true;
      link.send({
        type: "ATTACH",
        request,
        ref: user.key,
        name: user.name,
        named: user.named,
        incarnation: user.brokerIncarnation ?? user.incarnation,
        create: user.brokerIncarnation === null,
        handle: this.#instance,
        credit,
        known,
      });
      this.#subscribeAgain(user, link);
    });
  }

  /** An ATTACH that is not the valid one any more needs no answer. */
  #forgetAttach(user: User): void {
    const request = this.#attaching.get(user);
    this.#attaching.delete(user);
    if (request !== undefined) this.#answers.delete(request);
    for (const each of this.#renewing.get(user) ?? []) {
      this.#answers.delete(each);
    }
    this.#renewing.delete(user);
  }

  /**
   * In a new epoch the broker has the subscriptions of some time ago: it is told of
   * those that came and went since. Asked right behind ATTACH, so that what the app
   * asks for comes after it.
   */
  #subscribeAgain(user: User, link: Port): void {
    const { epoch } = this;
    const isSettled = user.subscribedEpoch === epoch;
    const known = isSettled ? [] : this.#subscriptions.of(user.key);
    let open = known.length;
    const answered = () => {
      if (--open > 0 || user.isEnded) return;
      user.subscribedEpoch = epoch;
      this.#commits.changed(user);
    };
    const requests: number[] = [];
    if (known.length > 0) this.#renewing.set(user, requests);
    for (const subscription of known) {
      const request = this.#ask({
        onOk: () => {
          this.#options.logger.warn("subscription_renewed", {
            user: user.name,
            filter: subscription.filter,
            ended: subscription.isEnded,
          });
          answered();
        },
        onError: (error) => {
          // "bad_message": the user is unknown, and is attached again.
          const isOver = error instanceof MomError ||
            error.code === "bad_message";
          if (!isOver) answered();
        },
      });
      requests.push(request);
      link.send(toAgain(subscription, request, user.key));
    }
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
      const refusal = asMomError(error);
      if (!refusal.retriable) return this.#options.onConfused(refusal);
      // With the next link, or the next handle, it is tried again.
      this.#attaching.delete(user);
      return user.flow.end();
    }
    // The broker has lost the user, and with it its subscriptions. What lies here
    // is still its own.
    user.brokerIncarnation = null;
    this.#commits.changed(user);
    // In another epoch that is no surprise, and the subscriptions are asked for
    // again. Else the app is told.
    if (user.epoch === 0 || user.epoch === this.epoch) {
      user.app?.port.fail(asMomError(error));
    }
    this.attach(user);
  }

  /** A message of the broker. What makes no sense ends the link. */
  onBroker(message: Message): void {
    try {
      this.#take(message);
    } catch (error) {
      if (!(error instanceof MomError)) throw error;
      this.#options.onConfused(error);
    }
  }

  #take(message: Message): void {
    switch (message.type) {
      case "DELIVER":
        return this.#deliver(message);
      case "RECEIPT":
        if (message.level !== LEVEL.broker) {
          throw new MomError(
            "bad_message",
            `Cannot take RECEIPT: level ${message.level} is not a broker's`,
          );
        }
        return this.#options.outbox.onReceipt(message);
      case "CONFIRM":
        return this.#confirm(message.ref, message.number);
      case "ATTACHED":
        return this.#attached(message);
      case "GAP":
        return this.#gap(message);
      case "OK":
        return this.#answer(message.request, (answer) => {
          if (answer.ref !== undefined) throw wrongAnswer("ATTACH", "OK");
          answer.onOk();
        });
      case "ERROR":
        if (this.#options.outbox.onError(message)) return;
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
    const request = this.#options.nextRequest();
    this.#answers.set(request, answer);
    return request;
  }

  #answer(request: number, act: (answer: Answer) => void): void {
    const answer = this.#answers.get(request);
    this.#answers.delete(request);
    if (answer !== undefined) act(answer);
  }

  #attached(message: Attached): void {
    const answer = this.#answers.get(message.request);
    // That of an ATTACH which is not the valid one any more.
    if (answer === undefined) return;
    if (answer.ref !== message.ref || message.epoch !== this.epoch) {
      throw wrongAnswer("the request", "ATTACHED");
    }
    this.#answers.delete(message.request);
    const user = this.#users.byKey(message.ref);
    if (user === undefined || this.#attaching.get(user) !== message.request) {
      return;
    }
    this.#attaching.delete(user);
    if (
      user.brokerIncarnation === null ||
      !sameBytes(user.brokerIncarnation, message.incarnation)
    ) {
      user.brokerIncarnation = message.incarnation.slice();
      this.#commits.changed(user);
    }
    user.adoptEpoch(this.epoch);
    if (
      user.subscribedEpoch !== this.epoch &&
      this.#subscriptions.of(user.key).length === 0
    ) {
      user.subscribedEpoch = this.epoch;
      this.#commits.changed(user);
    }
    const { flow } = user;
    flow.state = "attached";
    flow.suspect = message.suspect;
    user.confirmed(flow.listed);
    flow.listed = [];
    user.reportAll();
  }

  #deliver(message: Deliver): void {
    checkDeliver(message);
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
    this.#checkLog(logId);
    const left = remainingMs(message.attributes);
    const deadlineMs = left === null
      ? null
      : this.#commits.store.timeline.nowMs() + left;
    const attributes = withRemaining(message.attributes, null);
    for (let i = 0; i < targets.length; i += 2) {
      const user = this.#users.byKey(targets[i]);
      // An older flow's: the broker sends it again (PROTOCOL 5.5).
      if (user === undefined || user.flow.state !== "attached") continue;
      user.flow.receive(costOf(batch.length), count);
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

  /** A mark of another epoch would be kept, and tell the next broker nonsense. */
  #checkLog(logId: number): void {
    if (epochOf(logId) === this.epoch) return;
    throw new MomError(
      "bad_message",
      `Cannot take log ${logId}: it is not of epoch ${this.epoch}`,
    );
  }

  #gap(message: Gap): void {
    this.#checkLog(message.logId);
    for (let i = 0; i < message.targets.length; i += 2) {
      const app = this.#users.byKey(message.targets[i])?.app;
      // News, no more: what it tells of is settled. Who does not read goes without.
      if (app?.isReceiving && !app.port.isClogged) {
        app.port.send({ ...message, targets: [app.ref, 0] });
      }
    }
  }

  #confirm(ref: number, number: number): void {
    const user = this.#users.byKey(ref);
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
    // Asked again without an answer it may find the user that has the name by now.
    const unless = incarnation === null
      ? this.#users.byName(name)?.incarnation
      : undefined;
    this.#link.send({ type: "DESTROY", request, name, incarnation, unless });
  }
}

function wrongAnswer(asked: string, given: string): MomError {
  return new MomError(
    "bad_message",
    `Cannot take ${given}: it does not answer ${asked}`,
  );
}

/** A subscription as it is asked for again in a new epoch. */
function toAgain(
  { filter, manual, echo, isEnded }: KnownSubscription,
  request: number,
  ref: number,
): Message {
  if (isEnded) return { type: "UNSUBSCRIBE", request, ref, filter };
  return {
    type: "SUBSCRIBE",
    request,
    ref,
    filter,
    from: "epoch",
    fromValue: 0,
    manual,
    echo,
  };
}
