/**
 * In a new epoch the broker has the subscriptions of some time ago: it is told of
 * those that came or went since.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import type { Message } from "../../protocol/messages.ts";
import type { Logger } from "../../program/log.ts";
import type { Port } from "../port.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import type { KnownSubscription, Subscriptions } from "./subscriptions.ts";
import type { UpstreamLink } from "./upstream_link.ts";
import type { User } from "../user/user.ts";

/** What renewing stands on. */
export interface RenewingContext {
  readonly commits: Commits;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  readonly link: UpstreamLink;
  readonly logger: Logger;
  readonly subscriptions: Subscriptions;
}

/** Asks for subscriptions again. */
export class UpstreamRenewing {
  readonly #context: RenewingContext;
  /** What a user's last ATTACH asked for along with it. */
  readonly #requests = new Map<User, number[]>();

  constructor(context: RenewingContext) {
    this.#context = context;
  }

  /** Asked right behind ATTACH, so that what the app asks for comes after it. */
  renew(user: User, port: Port): void {
    const { commits, base, link, logger, subscriptions } = this.#context;
    const epoch = base.brokerEpoch;
    const isSettled = user.subscribedEpoch === epoch;
    const known = isSettled ? [] : subscriptions.of(user.key);
    let open = known.length;
    const answered = () => {
      if (--open > 0 || user.isEnded) return;
      user.subscribedEpoch = epoch;
      commits.changed(user);
    };
    const requests: number[] = [];
    if (known.length > 0) this.#requests.set(user, requests);
    for (const subscription of known) {
      const request = link.ask({
        onOk: () => {
          logger.warn("subscription_renewed", {
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
      port.send(toAgain(subscription, request, user.key));
    }
  }

  /** A user without subscriptions has nothing to renew. */
  onAttached(user: User): void {
    const { commits, base, subscriptions } = this.#context;
    if (
      user.subscribedEpoch !== base.brokerEpoch &&
      subscriptions.of(user.key).length === 0
    ) {
      user.subscribedEpoch = base.brokerEpoch;
      commits.changed(user);
    }
  }

  /** What was asked for along with an ATTACH that is not the valid one any more. */
  forget(user: User): void {
    for (const request of this.#requests.get(user) ?? []) {
      this.#context.link.forget(request);
    }
    this.#requests.delete(user);
  }

  /** The link is gone. */
  linkDown(): void {
    this.#requests.clear();
  }
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
