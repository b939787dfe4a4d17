/**
 * What apps ask for and only the broker can do is passed on to it: SUBSCRIBE,
 * UNSUBSCRIBE.
 *
 * @module
 */

import type { Clock } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { MessageNamed } from "../../protocol/messages.ts";
import type { Port } from "../port.ts";
import type { Commits } from "../commits.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { UpstreamLink } from "./upstream_link.ts";
import type { User } from "../user/user.ts";

/** What the broker answers when it has done already what is asked for. */
const DONE_ALREADY = {
  SUBSCRIBE: "already_subscribed",
  UNSUBSCRIBE: "not_subscribed",
} as const;

/** What forwarding stands on. */
export interface ForwardingContext {
  readonly commits: Commits;
  readonly clock: Clock;
  readonly link: UpstreamLink;
  /** Where it is noted what the broker has done. */
  readonly subscriptions: Subscriptions;
}

/** An app's SUBSCRIBE or UNSUBSCRIBE on its way. */
interface Forwarded {
  readonly sentMs: number;
  expire(): void;
}

/** Carries requests of apps to the broker, answers back. */
export class UpstreamForwarding {
  readonly #context: ForwardingContext;
  /** What the broker has not answered, oldest first. */
  readonly #forwarded = new Map<number, Forwarded>();
  /** Apps that are not read on before it answers. */
  #waiting: (() => void)[] = [];

  constructor(context: ForwardingContext) {
    this.#context = context;
  }

  /** Resolves when an app may be read on; `null` when it may at once. */
  room(): Promise<void> | null {
    const { port } = this.#context.link;
    if (port === null) return null;
    if (port.bufferedBytes > LIMITS.unreadBytes) {
      return port.drained(LIMITS.unreadBytes / 2);
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
      this.#context.link.forget(request);
      this.#answered(request);
      expire();
    }
  }

  /**
   * Passes on what a user asks for over `port`.
   *
   * @throws {MomError} `broker_unavailable`.
   */
  forward(
    user: User,
    port: Port,
    message: MessageNamed<"SUBSCRIBE"> | MessageNamed<"UNSUBSCRIBE">,
  ): void {
    const { commits, clock, link } = this.#context;
    const linkPort = link.port;
    if (linkPort === null) {
      throw new MomError(
        "broker_unavailable",
        `Cannot ${message.type.toLowerCase()} "${message.filter}": there is no link to the broker`,
      );
    }
    const asked = { port, request: message.request };
    const request = link.ask({
      onOk: () => {
        this.#answered(request);
        this.#note(user, message);
        commits.whenDone(() =>
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
      sentMs: clock.monotonicMs(),
      expire: () => asked.port.refuse(late, asked.request),
    });
    // Behind the user's own ATTACH, which may wait for the disk.
    commits.whenDone(() =>
      linkPort.send({ ...message, request, ref: user.key })
    );
  }

  #answered(request: number): void {
    this.#forwarded.delete(request);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #note(
    user: User,
    message: MessageNamed<"SUBSCRIBE"> | MessageNamed<"UNSUBSCRIBE">,
  ): void {
    if (!user.isEnded) this.#context.subscriptions.note(user.key, message);
  }
}
