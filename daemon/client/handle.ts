/**
 * What a `Mom` is made of: its parts are put together here, are told what comes
 * for them, and come to their end together.
 *
 * @module
 */

import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import type { Clock } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { FEATURE, notAgreed } from "../../protocol/features.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Attached, Message, Welcome } from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import { defaultDaemonAddress } from "../../program/folders.ts";
import { networkDialer } from "../../transport/dial.ts";
import { Calls } from "./calls.ts";
import { USER_REF } from "./connection/attaching.ts";
import { Connection, type ConnectionOwner } from "./connection/connection.ts";
import { Deadlines } from "./deadlines.ts";
import { EventSource } from "./events.ts";
import { lostNews, newsOf, replacedNews } from "./news.ts";
import type { ConnectSettings } from "./option_checks.ts";
import { Publisher } from "./publishing/publisher.ts";
import { Receiver } from "./receiving/receiver.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TimeLimit } from "./time_limit.ts";

/** One user's parts, from the first connection to the end. */
export class Handle {
  /** What happens to it. */
  readonly events: EventSource = new EventSource();
  /** What publishes for it. */
  readonly publisher: Publisher;
  /** What receives for it. */
  readonly receiver: Receiver;
  /** What it subscribes with. */
  readonly subscriptions: Subscriptions;
  readonly #onRefused: (error: MomError) => void;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #calls: Calls;
  readonly #connection: Connection;
  readonly #name: string;
  readonly #reconnectTimeoutMs: number;
  #peer: Peer | null = null;
  #requests = 0;
  #user = "";
  /** What calls reject with when it is at its end. */
  #refusal: MomError | null = null;
  #closing: Promise<void> | null = null;
  #destroying: Promise<void> | null = null;

  /**
   * @param settings Checked.
   * @param onRefused Told once, when it is at its end: what calls reject with.
   */
  constructor(
    settings: ConnectSettings,
    onRefused: (error: MomError) => void,
  ) {
    this.#onRefused = onRefused;
    const clock = this.#clock = settings.clock ?? systemClock;
    const entropy = settings.entropy ?? systemEntropy;
    const handle = entropy.bytes(16);
    const nextRequest = () => ++this.#requests;
    this.#name = settings.name ?? `anon-${entropy.bytes(8).toHex()}`;
    const { reconnectTimeoutMs } = settings;
    this.#reconnectTimeoutMs = reconnectTimeoutMs;
    const deadlines = this.#deadlines = new Deadlines(clock);
    this.publisher = new Publisher({
      clock,
      deadlines,
      producer: handle,
      nextRequest,
      onLost: (topic, count) => this.events.emit(lostNews(topic, count)),
    });
    this.receiver = new Receiver({ clock, deadlines, ref: USER_REF });
    this.#calls = new Calls({
      clock,
      deadlines,
      reconnectTimeoutMs,
      nextRequest,
    });
    this.subscriptions = new Subscriptions(this.#calls);
    this.#connection = new Connection({
      address: settings.daemon ?? settings.broker ?? defaultDaemonAddress(),
      token: settings.token ?? null,
      name: this.#name,
      isNamed: settings.name !== undefined,
      handle,
      reconnectTimeoutMs,
      heartbeatMs: settings.heartbeatMs,
      dialer: settings.dialer ?? networkDialer,
      clock,
      entropy,
      events: this.events,
      nextRequest,
    }, this.#owner());
  }

  /** The user: `name@machine`; empty before it is attached. */
  get user(): string {
    return this.#user;
  }

  /** Begins; resolves when the user is attached. @throws What {@linkcode Connection.start} throws. */
  async start(): Promise<void> {
    try {
      await this.#connection.start();
    } catch (error) {
      this.#deadlines.stop();
      this.events.end();
      throw error;
    }
  }

  /** Waits for receipts and confirmations, and ends. May be called twice. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /**
   * Ends the user, and with it the handle. May be called twice.
   *
   * @throws {MomError} `daemon_unavailable`: it goes on. `closed`.
   */
  destroy(): Promise<void> {
    return this.#destroying ??= this.#destroy();
  }

  async #close(): Promise<void> {
    if (this.#destroying !== null) {
      // What destroy() rejects with is told by destroy().
      await this.#destroying.catch(() => {});
    }
    const wasOpen = this.#refusal === null;
    const closed = this.#closedError("it is closed");
    const refusal = this.#refuse(closed);
    if (wasOpen) {
      const limit = new TimeLimit(this.#clock, LIMITS.closeMs);
      this.receiver.stop(closed);
      await limit.wait(this.publisher.idle());
      await limit.wait(this.receiver.settled());
      const detached = this.#calls.call((request) => ({
        type: "DETACH",
        request,
        ref: USER_REF,
      }));
      // Whatever the answer is, nothing can be done about it any more.
      await limit.wait(detached.catch(() => {}));
      limit.end();
    }
    await this.#end(refusal);
  }

  async #destroy(): Promise<void> {
    if (this.#refusal !== null) throw this.#refusal;
    const startMs = this.#clock.monotonicMs();
    const limit = new TimeLimit(this.#clock, LIMITS.closeMs);
    await limit.wait(this.publisher.idle());
    limit.end();
    try {
      const { incarnation } = this.#connection;
      await this.#calls.call(
        (request) => ({
          type: "DESTROY",
          request,
          name: this.#name,
          incarnation,
        }),
        "user_expired",
        startMs,
      );
    } catch (error) {
      this.#destroying = null;
      throw error;
    }
    await this.#end(this.#refuse(this.#closedError("it is destroyed")));
  }

  /** From now on calls reject, with this or what came before. */
  #refuse(error: MomError): MomError {
    if (this.#refusal === null) {
      this.#refusal = error;
      this.#onRefused(error);
    }
    return this.#refusal;
  }

  async #end(error: MomError): Promise<void> {
    this.#stopParts(error);
    await this.#connection.end();
    this.#deadlines.stop();
    this.events.end();
  }

  #stopParts(error: MomError): void {
    this.publisher.fail(error);
    this.receiver.fail(error);
    this.#calls.reject(error);
  }

  #closedError(why: string): MomError {
    return new MomError(
      "closed",
      `Cannot use the handle of "${this.#user}": ${why}`,
    );
  }

  #owner(): ConnectionOwner {
    return {
      onAttaching: () => this.receiver.attaching(),
      onAttached: (peer, attached, welcome, isReplaced) => {
        if (isReplaced) this.publisher.replaced();
        this.#onAttached(peer, attached, welcome);
        if (isReplaced) this.#onReplaced(welcome);
      },
      onMessage: (message) => this.#onMessage(message),
      onDetached: () => {
        this.publisher.detached();
        this.receiver.detached();
        this.#calls.detached();
      },
      onAway: (sinceMs) => this.#onAway(sinceMs),
      onFailed: (error) => {
        this.#stopParts(this.#refuse(error));
        this.#deadlines.stop();
        this.events.end();
      },
    };
  }

  #onAttached(peer: Peer, attached: Attached, welcome: Welcome): void {
    this.#peer = peer;
    this.#user = attached.user;
    const send = (message: Message) => peer.send(message);
    const { maxMessageBytes, role } = welcome;
    this.receiver.attached(send, { ...attached, maxMessageBytes }, role);
    this.#calls.attached(peer);
    this.publisher.attached(peer, welcome);
  }

  /** Another store: what this handle subscribed to may not be in it. */
  #onReplaced({ role, epoch }: Welcome): void {
    this.events.emit(replacedNews(role, epoch));
    // A broker goes on from where its store began anew. A daemon only passes it on.
    this.subscriptions.renew(
      role === "broker" ? "epoch" : "now",
      (reason) => this.events.emit({ type: "replaced", reason }),
    );
  }

  #onMessage(message: Message): void {
    try {
      this.#take(message);
    } catch (error) {
      if (!(error instanceof MomError)) throw error;
      // It makes no sense. Connecting again begins with what the other side really has.
      this.#peer?.fail(error);
    }
  }

  #take(message: Message): void {
    switch (message.type) {
      case "DELIVER":
        return this.receiver.onDeliver(message);
      case "DELIVER_BUNDLE":
        if (this.#peer?.features.has(FEATURE.bundles) !== true) {
          throw notAgreed(message.type);
        }
        return this.receiver.onDeliverBundle(message);
      case "RECEIPT":
        return this.publisher.onReceipt(message);
      case "CONFIRM":
        return this.receiver.onConfirm(message.number);
      case "OK":
        return this.#calls.onOk(message.request);
      case "ERROR":
        if (!this.#calls.onError(message)) this.publisher.onError(message);
        return;
      case "NOTICE": {
        const news = newsOf(message);
        if (news !== null) this.events.emit(news);
        return;
      }
        // GAP, GOAWAY, REDIRECT: what they tell is settled by the other side, or
        // shows itself when the connection ends.
    }
  }

  #onAway(sinceMs: number): void {
    const timeoutMs = this.#reconnectTimeoutMs;
    const beganBeforeMs = this.#clock.monotonicMs() - timeoutMs;
    this.publisher.expire(sinceMs, timeoutMs);
    if (beganBeforeMs < sinceMs) return;
    const away = new MomError(
      "daemon_unavailable",
      `Cannot reach the daemon of "${this.#user}": no connection for ${timeoutMs} ms`,
    );
    this.receiver.expire(away, beganBeforeMs);
    this.#calls.reject(away, beganBeforeMs);
  }
}
