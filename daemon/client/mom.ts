/**
 * `Mom`: an app's handle on its user, as apps see it. Here is what its methods
 * promise; how that is kept lies in the parts of a {@linkcode Handle}.
 *
 * @module
 */

import { parseAddress } from "../../protocol/address.ts";
import { MomError } from "../../protocol/errors.ts";
import { checkName } from "../../protocol/names.ts";
import { checkFilter } from "../../protocol/topics.ts";
import { checkToken } from "../../program/tokens.ts";
import type { MomEvent } from "./events.ts";
import { Handle } from "./handle.ts";
import type { Message } from "./message.ts";
import {
  checkReceiveManyOptions,
  checkReceiveOptions,
  type ConnectSettings,
  readConnectOptions,
  readSubscribeOptions,
} from "./option_checks.ts";
import type {
  ConnectOptions,
  PublishOptions,
  ReceiveManyOptions,
  ReceiveOptions,
  SubscribeOptions,
} from "./options.ts";
import type { Publisher } from "./publishing/publisher.ts";
import type { Receipt } from "./publishing/receipts.ts";
import type { Receiver } from "./receiving/receiver.ts";
import { topicName, TypedTopic } from "./typed_topic.ts";

/** Only this module makes handles. */
const MAKE = Symbol("make");

/**
 * A handle: publishes, subscribes and receives for one user. A named user's
 * subscriptions and waiting messages outlive the handle; an unnamed user ends with
 * it. While the daemon is away a handle connects again by itself, and its calls
 * wait for at most `reconnectTimeoutMs`.
 *
 * Every method that returns a promise rejects and never throws. All failures
 * that can be expected are a {@linkcode MomError}; an argument of the wrong type
 * is a `TypeError`.
 *
 * @example A named user and an unnamed one
 * ```ts
 * import { Broker, Mom } from "../../mod.ts";
 *
 * await using broker = await Broker.start({ port: 0, data: ":memory:" });
 * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
 * await using ben = await Mom.connect({ broker: broker.address });
 * await ana.subscribe("museum/#");
 * await ben.publish("museum/doors/1", { open: true });
 * const message = await ana.receive({ timeoutMs: 5_000 });
 * if (message?.topic !== "museum/doors/1") throw message;
 * ```
 */
export class Mom implements AsyncDisposable {
  readonly #settings: ConnectSettings;
  readonly #handle: Handle;
  readonly #publisher: Publisher;
  readonly #receiver: Receiver;
  /** What calls reject with when the handle is at its end; looked at by each of them. */
  #refusal: MomError | null = null;

  /** Use {@linkcode Mom.connect}. */
  constructor(make: symbol, settings: ConnectSettings) {
    if (make !== MAKE) {
      throw new TypeError("Cannot construct Mom: use Mom.connect()");
    }
    this.#settings = settings;
    this.#handle = new Handle(settings, (error) => this.#refusal = error);
    this.#publisher = this.#handle.publisher;
    this.#receiver = this.#handle.receiver;
  }

  /**
   * Opens a handle: of the named user, which comes into being if there is none,
   * or of a new unnamed one.
   *
   * @param options By default an unnamed user at this machine's daemon.
   * @throws {MomError} `name_invalid`, `option_invalid`; `unauthorized`;
   *   `name_in_use` if another handle has that name; `protocol_version`;
   *   `daemon_unavailable` if no connection succeeds in time.
   * @throws {TypeError} If an option is of the wrong type.
   *
   * @example A name that is in use
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * const second = Mom.connect({ broker: broker.address, name: "ana" });
   * const code = await second.catch((error) => error.code);
   * if (code !== "name_in_use") throw code;
   * ```
   */
  static async connect(options: ConnectOptions = {}): Promise<Mom> {
    const settings = readConnectOptions(options);
    if (settings.name !== undefined) checkName("user", settings.name);
    const address = settings.daemon ?? settings.broker;
    if (address !== undefined) parseAddress(address);
    if (settings.token !== undefined) checkToken(settings.token, "connect");
    const mom = new Mom(MAKE, settings);
    await mom.#handle.start();
    return mom;
  }

  /**
   * Opens another handle where this one is connected, in the same way: of an
   * unnamed user, with a mailbox of its own. For libraries that speak over mom and
   * must not take messages from their app.
   *
   * @throws {MomError} `closed` if this one is; else as {@linkcode Mom.connect}:
   *   `unauthorized`, `daemon_unavailable`.
   *
   * @example What one receives is not taken from the other
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using helper = await ana.another();
   * await helper.subscribe("news");
   * await ana.publish("news", "it rains");
   * const message = await helper.receive({ timeoutMs: 5_000 });
   * if (message?.sender !== ana.user) throw message;
   * ```
   */
  async another(): Promise<Mom> {
    this.#requireOpen();
    const { name: _, ...settings } = this.#settings;
    return await Mom.connect(settings);
  }

  /** The user: `name@machine`. */
  get user(): string {
    return this.#handle.user;
  }

  /**
   * Publishes one value. The receipt says on whose disk it is for certain.
   *
   * What was encoded is sent in the order of the calls, over all topics; values
   * published to one topic without waiting in between travel together. Each call
   * that is not waited for keeps its message in memory until the receipt.
   *
   * @param topic An exact topic, or a typed one.
   * @param value null, undefined, boolean, number, bigint within 64 bits, string,
   *   Uint8Array, Date, array or plain object, of at most 8 MiB.
   * @throws {MomError} `topic_invalid`, `value_unsupported`, `message_too_large`,
   *   `option_invalid`: nothing was sent. `storage_full`, `outbox_full`,
   *   `store_replaced`: refused. `daemon_unavailable`: it was never sent and will
   *   not be. `outcome_unknown`: the wait ended, and it may still arrive. `closed`.
   * @throws {TypeError} If an argument is of the wrong type.
   *
   * @example Until it is on the broker's disk
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * const receipt = await ana.publish("museum/visitors", 12, {
   *   level: "broker",
   *   headers: { room: "east" },
   *   timeoutMs: 5_000,
   * });
   * if (receipt.level !== "broker" || receipt.offset !== 0) throw receipt;
   * ```
   */
  publish<Input>(
    topic: string | TypedTopic<Input>,
    value: NoInfer<Input>,
    options?: PublishOptions,
  ): Promise<Receipt> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    try {
      return this.#publisher.publish(topic, value, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Publishes many values to one topic, in their order. If one of them cannot be
   * sent none is.
   *
   * @returns A receipt for each value.
   * @throws {MomError} As {@linkcode Mom.publish}: `topic_invalid`,
   *   `value_unsupported`, `message_too_large`, `option_invalid`, `storage_full`,
   *   `outbox_full`, `store_replaced`, `daemon_unavailable`, `outcome_unknown`,
   *   `closed`.
   *
   * @example Three at once
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * const receipts = await ana.publishMany("museum/visitors", [12, 15, 9]);
   * if (receipts[2].offset !== 2) throw receipts;
   * ```
   */
  publishMany<Input>(
    topic: string | TypedTopic<Input>,
    values: readonly NoInfer<Input>[],
    options?: PublishOptions,
  ): Promise<Receipt[]> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    try {
      return this.#publisher.publishMany(topic, values, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Subscribes the user to a filter: a topic, or levels with `+` (any one level)
   * and a last `#` (that level and all below). A typed topic has this handle
   * check what it receives from it.
   *
   * @returns `true`; with `ifNew`, `false` if there was such a subscription.
   * @throws {MomError} `filter_invalid`, `option_invalid`, `already_subscribed`,
   *   `broker_unavailable`, `daemon_unavailable`, `closed`.
   *
   * @example From the earliest message that is there
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using ben = await Mom.connect({ broker: broker.address, name: "ben" });
   * await ben.publish("museum/doors/1", "open");
   * await ana.subscribe("museum/doors/+", { from: "earliest" });
   * if (await ana.subscribe("museum/doors/+", { ifNew: true })) throw new Error();
   * const message = await ana.receive({ timeoutMs: 5_000 });
   * if (message?.value !== "open") throw message;
   * ```
   */
  async subscribe(
    filter: string | TypedTopic,
    options: SubscribeOptions = {},
  ): Promise<boolean> {
    this.#requireOpen();
    const text = topicName(filter);
    checkFilter(text);
    const settings = readSubscribeOptions(options);
    if (filter instanceof TypedTopic) {
      this.#receiver.setSchema(filter.name, filter.schema);
    }
    return await this.#handle.subscriptions.begin(text, settings);
  }

  /**
   * Ends a subscription at this moment: what was published before is still
   * received.
   *
   * @throws {MomError} `not_subscribed`, `filter_invalid`, `broker_unavailable`,
   *   `daemon_unavailable`, `closed`.
   *
   * @example What was published before still comes
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using ben = await Mom.connect({ broker: broker.address, name: "ben" });
   * await ana.subscribe("news");
   * await ben.publish("news", 1);
   * await ana.unsubscribe("news");
   * await ben.publish("news", 2);
   * if ((await ana.receive({ timeoutMs: 5_000 }))?.value !== 1) throw new Error();
   * if (await ana.receive({ timeoutMs: 50 }) !== null) throw new Error();
   * ```
   */
  async unsubscribe(
    filter: string | TypedTopic,
  ): Promise<void> {
    this.#requireOpen();
    const text = topicName(filter);
    checkFilter(text);
    await this.#handle.subscriptions.end(text);
  }

  /**
   * Waits for one message. Taking it acknowledges it, unless the subscription is
   * a manual one.
   *
   * @returns The message, or `null` when `timeoutMs` is over: nothing was taken
   *   then.
   * @throws {MomError} `daemon_unavailable` when the daemon has been away for
   *   too long, `user_expired` when an unnamed user's handle was; `closed`,
   *   `option_invalid`. The signal's reason when that was aborted.
   *
   * @example Acknowledge when the work is done
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using ben = await Mom.connect({ broker: broker.address, name: "ben" });
   * await ana.subscribe("jobs", { ack: "manual" });
   * await ben.publish("jobs", "sweep");
   * const job = await ana.receive({ timeoutMs: 5_000 });
   * if (job?.value !== "sweep") throw job;
   * await job.ack();
   * ```
   */
  receive(options?: ReceiveOptions): Promise<Message | null> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    try {
      if (options !== undefined) checkReceiveOptions(options);
      return this.#receiver.receive(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Waits for at least one message and takes what else is there.
   *
   * @returns The messages; none when `timeoutMs` is over.
   * @throws {MomError} As {@linkcode Mom.receive}: `daemon_unavailable`,
   *   `user_expired`, `closed`, `option_invalid`.
   *
   * @example In bulk
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using ben = await Mom.connect({ broker: broker.address, name: "ben" });
   * await ana.subscribe("news");
   * await ben.publishMany("news", ["one", "two", "three"]);
   * const messages = await ana.receiveMany({ max: 10, timeoutMs: 5_000 });
   * if (messages[0].value !== "one") throw messages;
   * ```
   */
  receiveMany(options: ReceiveManyOptions = {}): Promise<Message[]> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    try {
      checkReceiveManyOptions(options);
      return this.#receiver.receiveMany(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * All messages, one after another, until the handle is closed.
   *
   * @example Until told to stop
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using ben = await Mom.connect({ broker: broker.address, name: "ben" });
   * await ana.subscribe("news");
   * await ben.publishMany("news", ["one", "two", "stop"]);
   * for await (const { value } of ana) {
   *   if (value === "stop") break;
   * }
   * ```
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    while (true) {
      let message: Message | null;
      try {
        message = await this.receive();
      } catch (error) {
        if (error instanceof MomError && error.code === "closed") return;
        throw error;
      }
      if (message !== null) yield message;
    }
  }

  /**
   * News of the handle from now on, for as long as it lives. At most 100 wait to
   * be read; then the oldest is dropped and counted in the next one's `dropped`.
   *
   * @example What happens from now on
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * const ana = await Mom.connect({ broker: broker.address });
   * const told: string[] = [];
   * const events = (async () => {
   *   for await (const event of ana.events()) told.push(event.type);
   * })();
   * await ana.close();
   * await events;
   * ```
   */
  events(): AsyncIterableIterator<MomEvent> {
    return this.#handle.events.listen();
  }

  /**
   * Leaves: waits for receipts and confirmations, at most 5 s, and ends the
   * handle. A named user stays, with its subscriptions; an unnamed one ends. What
   * was not received is not lost. May be called twice.
   *
   * @example What waits is there for the next handle
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * const ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await ana.subscribe("t");
   * await ana.close();
   * await using ben = await Mom.connect({ broker: broker.address });
   * await ben.publish("t", "hello");
   * await using again = await Mom.connect({ broker: broker.address, name: "ana" });
   * const message = await again.receive({ timeoutMs: 5_000 });
   * if (message?.value !== "hello") throw message;
   * ```
   */
  close(): Promise<void> {
    return this.#handle.close();
  }

  /**
   * Ends the user with its subscriptions and all that waits for it, and the
   * handle with it. May be called twice.
   *
   * @throws {MomError} `daemon_unavailable` if the daemon has been away for too
   *   long: the handle goes on. `closed` if it was closed before.
   *
   * @example The name is free again
   * ```ts
   * import { Broker, Mom } from "../../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await ana.subscribe("news");
   * await ana.destroy();
   * await using again = await Mom.connect({ broker: broker.address, name: "ana" });
   * await again.subscribe("news");
   * ```
   */
  destroy(): Promise<void> {
    return this.#handle.destroy();
  }

  /** The same as {@linkcode Mom.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #requireOpen(): void {
    if (this.#refusal !== null) throw this.#refusal;
  }
}
