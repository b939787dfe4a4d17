/**
 * Users are attached at the broker, which is the one way to begin, resume or rewind
 * their flows over the link (PROTOCOL 5.5).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { asMomError } from "../../protocol/handshake.ts";
import {
  type Attached,
  type ErrorMessage,
  OUTCOME,
} from "../../protocol/messages.ts";
import type { Logger } from "../../program/log.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import type { LinkedUsers } from "./linked_users.ts";
import { type UpstreamLink, wrongAnswer } from "./upstream_link.ts";
import type { UpstreamRenewing } from "./renewing.ts";
import { sameBytes } from "../same_bytes.ts";
import type { User } from "../user/user.ts";

/** What attaching stands on. */
export interface AttachingContext {
  readonly commits: Commits;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  readonly link: UpstreamLink;
  readonly logger: Logger;
  readonly users: LinkedUsers;
  readonly renewing: UpstreamRenewing;
  /** This process, as the broker's sessions know it (PROTOCOL 5.3). */
  readonly instance: Uint8Array;
  /** The link's answers make no sense: it is closed. */
  onConfused(error: MomError): void;
}

/** Attaches the users of this machine. */
export class UpstreamAttaching {
  readonly #context: AttachingContext;
  /** Which ATTACH of a user is the valid one. */
  readonly #attaching = new Map<User, number>();

  constructor(context: AttachingContext) {
    this.#context = context;
  }

  /** Begins a user's flow anew: the broker sends what is not known here. */
  attach(user: User): void {
    const { commits, link, renewing, instance } = this.#context;
    const { port } = link;
    if (port === null) return;
    this.#endFlow(user);
    const known = user.outcomes.known();
    const listed: number[] = [];
    for (let i = 0; i < known.length; i += 4) {
      if (known[i] > OUTCOME.custody) listed.push(...known.slice(i, i + 4));
    }
    const credit = user.flow.begin(port, listed);
    this.forget(user);
    const request = link.ask({
      ref: user.key,
      onOk: () => {},
      onError: (error) => this.#refused(user, request, error),
    });
    this.#attaching.set(user, request);
    commits.whenDone(() => {
      if (this.#attaching.get(user) !== request) return;
      user.isTold = true;
      port.send({
        type: "ATTACH",
        request,
        ref: user.key,
        name: user.name,
        named: user.named,
        incarnation: user.brokerIncarnation ?? user.incarnation,
        create: user.brokerIncarnation === null,
        handle: instance,
        credit,
        known,
      });
      renewing.renew(user, port);
    });
  }

  /** An ATTACH that is not the valid one any more needs no answer. */
  forget(user: User): void {
    const { link, renewing } = this.#context;
    const request = this.#attaching.get(user);
    this.#attaching.delete(user);
    if (request !== undefined) link.forget(request);
    renewing.forget(user);
  }

  /** The link is gone: the flows' promises are this daemon's now. */
  linkDown(): void {
    const { users, renewing } = this.#context;
    for (const user of users.all()) this.#endFlow(user);
    this.#attaching.clear();
    renewing.linkDown();
  }

  /**
   * ATTACHED: what comes from now on is the new flow's.
   *
   * @throws {MomError} `bad_message`: it does not answer what was asked.
   */
  onAttached(message: Attached): void {
    const { commits, base, link, users, renewing } = this.#context;
    const answer = link.asked(message.request);
    // That of an ATTACH which is not the valid one any more.
    if (answer === undefined) return;
    if (answer.ref !== message.ref || message.epoch !== base.brokerEpoch) {
      throw wrongAnswer("the request", "ATTACHED");
    }
    link.forget(message.request);
    const user = users.byKey(message.ref);
    if (user === undefined || this.#attaching.get(user) !== message.request) {
      return;
    }
    this.#attaching.delete(user);
    if (
      user.brokerIncarnation === null ||
      !sameBytes(user.brokerIncarnation, message.incarnation)
    ) {
      user.brokerIncarnation = message.incarnation.slice();
      commits.changed(user);
    }
    user.adoptEpoch(base.brokerEpoch);
    renewing.onAttached(user);
    const { flow } = user;
    flow.state = "attached";
    flow.suspect = message.suspect;
    user.outcomes.confirmed(flow.listed);
    flow.listed = [];
    user.outcomes.reportAll();
  }

  #endFlow(user: User): void {
    user.outcomes.keepUnconfirmed();
    user.deliveries.dropWaiting();
    user.app?.detachAcks();
    user.flow.end();
    this.#context.commits.whenDone(() => user.confirmToApp());
  }

  #refused(
    user: User,
    request: number,
    error: ErrorMessage | MomError,
  ): void {
    const { commits, base, logger, onConfused } = this.#context;
    if (this.#attaching.get(user) !== request || error instanceof MomError) {
      return;
    }
    logger.warn("attach_refused", { user: user.name, code: error.code });
    if (error.code !== "user_expired") {
      const refusal = asMomError(error);
      if (!refusal.retriable) return onConfused(refusal);
      // With the next link, or the next handle, it is tried again.
      this.#attaching.delete(user);
      return user.flow.end();
    }
    // The broker has lost the user, and with it its subscriptions. What lies here
    // is still its own.
    user.brokerIncarnation = null;
    commits.changed(user);
    // In another epoch that is no surprise, and the subscriptions are asked for
    // again. Else the app is told.
    if (user.epoch === 0 || user.epoch === base.brokerEpoch) {
      user.app?.port.fail(asMomError(error));
    }
    this.attach(user);
  }
}
