/**
 * The daemon's dealings with the broker, from the link's beginning to its end.
 *
 * Here it is decided in which order a new broker is told what it must know, and who
 * gets which of its messages. `attaching.ts` and `renewing.ts` are what it is told of
 * users, `destroying.ts` of those that ended, `forwarding.ts` what apps ask of it,
 * `flows.ts` what comes for them, and `upstream_link.ts` the way that requests take.
 * Publishes have a way of their own, the outbox.
 *
 * @module
 */

import type { Clock, Entropy } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { FEATURE, notAgreed } from "../../protocol/features.ts";
import {
  LEVEL,
  type Message,
  type MessageNamed,
} from "../../protocol/messages.ts";
import type { Logger } from "../../program/log.ts";
import type { Port } from "../port.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import type { LinkedUsers } from "./linked_users.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { Subscriptions } from "./subscriptions.ts";
import { UpstreamAttaching } from "./attaching.ts";
import { UpstreamDestroying } from "./destroying.ts";
import { UpstreamFlows } from "./flows.ts";
import { UpstreamForwarding } from "./forwarding.ts";
import { UpstreamLink } from "./upstream_link.ts";
import { UpstreamRenewing } from "./renewing.ts";
import type { User } from "../user/user.ts";

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

/** This daemon's side of the link. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #link: UpstreamLink;
  readonly #subscriptions: Subscriptions;
  readonly #attaching: UpstreamAttaching;
  readonly #destroying: UpstreamDestroying;
  readonly #forwarding: UpstreamForwarding;
  readonly #flows: UpstreamFlows;

  constructor(options: UpstreamOptions) {
    const { commits, base, clock, entropy, logger, users } = options;
    this.#options = options;
    const link = this.#link = new UpstreamLink(() => options.nextRequest());
    const subscriptions = this.#subscriptions = new Subscriptions(commits);
    this.#attaching = new UpstreamAttaching({
      commits,
      base,
      link,
      logger,
      users,
      renewing: new UpstreamRenewing({
        commits,
        base,
        link,
        logger,
        subscriptions,
      }),
      instance: entropy.bytes(16),
      onConfused: (error) => options.onConfused(error),
    });
    this.#destroying = new UpstreamDestroying({ commits, link, logger, users });
    this.#forwarding = new UpstreamForwarding({
      commits,
      clock,
      link,
      subscriptions,
    });
    this.#flows = new UpstreamFlows({ commits, base, link, users });
  }

  /** The broker's epoch, 0 before the first link. */
  get epoch(): number {
    return this.#options.base.brokerEpoch;
  }

  /** Users that ended and that the broker does not know of yet. */
  get destroyCount(): number {
    return this.#destroying.count;
  }

  /** Takes over the destroys and subscriptions that were stored. */
  load(
    destroys: Map<number, Uint8Array>,
    subscriptions: Map<number, Uint8Array>,
  ): void {
    this.#destroying.load(destroys);
    this.#subscriptions.load(subscriptions);
  }

  /** Resolves when an app may be read on; `null` when it may at once. */
  room(): Promise<void> | null {
    return this.#forwarding.room();
  }

  /** To be called a few times a second. */
  tick(nowMs: number): void {
    this.#forwarding.tick(nowMs);
  }

  /** What only the broker can do; see {@link UpstreamForwarding.forward}. */
  forward(
    user: User,
    port: Port,
    message: MessageNamed<"SUBSCRIBE"> | MessageNamed<"UNSUBSCRIBE">,
  ): void {
    this.#forwarding.forward(user, port, message);
  }

  /** Begins a user's flow anew; see {@link UpstreamAttaching.attach}. */
  attach(user: User): void {
    this.#attaching.attach(user);
  }

  /** A user ended here: the broker is told, now or when there is a link. */
  destroy(user: User): void {
    this.#attaching.forget(user);
    this.#subscriptions.drop(user.key);
    // The broker never heard of it, and nobody else has its name.
    if (!user.named && !user.isTold) return;
    this.#destroying.destroy(user);
  }

  /** Nothing more is sent. */
  close(): void {
    this.#link.close();
  }

  /** There is a link. Everything that the broker must know goes first. */
  linkUp(
    port: Port,
    { epoch, maxMessageBytes }: { epoch: number; maxMessageBytes: number },
  ): void {
    const { commits, users, outbox } = this.#options;
    this.#link.up(port);
    this.#adoptEpoch(epoch);
    this.#flows.linkUp();
    this.#destroying.linkUp();
    for (const user of users.all()) this.attach(user);
    // Behind the users: the broker tells by them whose own a message is.
    commits.whenDone(() => {
      if (this.#link.port === port) outbox.linkUp(port, maxMessageBytes);
    });
  }

  #adoptEpoch(epoch: number): void {
    const { base, commits } = this.#options;
    const before = base.brokerEpoch;
    if (before === epoch) return;
    base.brokerEpoch = epoch;
    commits.changed(base);
    if (before === 0) return;
    this.#destroying.reopen();
    this.#options.onEpochChanged(before, epoch);
  }

  /** The link is gone: its promises are this daemon's now. */
  linkDown(): void {
    if (this.#link.port === null) return;
    this.#link.close();
    this.#attaching.linkDown();
    this.#options.outbox.linkDown();
    this.#link.abandon();
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
        return this.#flows.onDeliver(message);
      case "DELIVER_BUNDLE":
        if (this.#link.port?.features.has(FEATURE.bundles) !== true) {
          throw notAgreed(message.type);
        }
        return this.#flows.onDeliverBundle(message);
      case "RECEIPT":
        if (message.level !== LEVEL.broker) {
          throw new MomError(
            "bad_message",
            `Cannot take RECEIPT: level ${message.level} is not a broker's`,
          );
        }
        return this.#options.outbox.onReceipt(message);
      case "CONFIRM":
        return this.#flows.onConfirm(message);
      case "ATTACHED":
        return this.#attaching.onAttached(message);
      case "GAP":
        return this.#flows.onGap(message);
      case "OK":
        return this.#link.onOk(message.request);
      case "ERROR":
        if (this.#options.outbox.onError(message)) return;
        if (message.request === null) return;
        return this.#link.onError(message.request, message);
      default:
        return;
    }
  }
}
