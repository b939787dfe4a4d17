/**
 * A bare client of a broker: speaks messages, waits for answers.
 *
 * @module
 */

import type { Broker } from "../../broker/broker.ts";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import type { MomError } from "../../protocol/errors.ts";
import { connectPeer } from "../../protocol/handshake.ts";
import { Heartbeats } from "../../protocol/heartbeats.ts";
import type { Message } from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import type { ByteStream } from "../../protocol/byte_stream.ts";
import { within } from "../helpers/eventually.ts";
import { batchOf } from "./_records.ts";
import { freshId } from "./_sim_handle.ts";
import type { Of } from "./_world.ts";

/** Options of {@linkcode Client.connect}. */
export interface ClientOptions {
  /** @default {the broker's} */
  token?: string | null;
  /** A daemon's name; without one it is an app. */
  machine?: string;
  machineKey?: Uint8Array;
}

/** A connection to a broker. */
export class Client {
  readonly inbox: Message[] = [];
  readonly handle: Uint8Array = freshId();
  /** Settles with the reason when the connection is over. */
  readonly closed: Promise<MomError | null>;
  peer!: Peer;
  done!: Promise<void>;
  readonly #resolveClosed: (reason: MomError | null) => void;
  readonly #waiters = new Set<() => void>();
  #requests = 0;
  #sequence = 0;

  private constructor() {
    const { promise, resolve } = Promise.withResolvers<MomError | null>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  /** Opens a conversation over a stream. */
  static async connect(
    broker: Broker,
    stream: ByteStream,
    options: ClientOptions = {},
  ): Promise<Client> {
    const client = new Client();
    const isDaemon = options.machine !== undefined;
    const { peer, done } = await connectPeer(stream, {
      clock: systemClock,
      entropy: systemEntropy,
      heartbeats: new Heartbeats(systemClock),
      token: options.token === undefined ? broker.token : options.token,
      hello: {
        role: isDaemon ? "daemon" : "app",
        machine: options.machine ?? null,
        machineKey: isDaemon ? options.machineKey ?? new Uint8Array(16) : null,
        credit: 1 << 30,
      },
      handlers: () => ({
        onMessage: (message) => client.#receive(message),
        onClose: (reason) => client.#close(reason),
      }),
    });
    client.peer = peer;
    client.done = done;
    return client;
  }

  /** Sends a request; gives the answer. */
  async ask(
    message: Record<string, unknown> & { type: string },
  ): Promise<Message> {
    const request = ++this.#requests;
    this.peer.send({ ...message, request } as unknown as Message);
    return await this.until((each) =>
      "request" in each && each.request === request
    );
  }

  /** Attaches a user at ref 1. */
  async attach(name: string, options: Record<string, unknown> = {}) {
    return await this.ask({
      type: "ATTACH",
      ref: 1,
      name,
      named: true,
      incarnation: freshId(),
      create: true,
      handle: this.handle,
      credit: 1 << 30,
      known: [],
      ...options,
    });
  }

  /** Subscribes the user at ref 1. */
  async subscribe(filter: string): Promise<Message> {
    return await this.ask({
      type: "SUBSCRIBE",
      ref: 1,
      filter,
      from: "now",
      fromValue: 0,
      manual: false,
      echo: false,
    });
  }

  /** Publishes numbers; gives the answer. */
  async publish(
    topic: string,
    numbers: readonly number[],
    bytes?: number,
  ): Promise<Message> {
    const first = this.#sequence + 1;
    this.#sequence += numbers.length;
    return await this.ask({
      type: "PUBLISH",
      topic,
      producer: this.handle,
      previous: first - 1,
      firstSequence: first,
      count: numbers.length,
      attributes: null,
      batch: batchOf(numbers, bytes),
    });
  }

  /** The first message that came, or comes, and fits. */
  async until(fits: (message: Message) => boolean): Promise<Message> {
    while (true) {
      const found = this.inbox.find(fits);
      if (found !== undefined) return found;
      if (this.peer.isClosed) throw new Error("The connection ended");
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiters.add(resolve);
      await within("a message", 10_000, promise);
    }
  }

  /** The first message of one type. */
  async untilType<T extends Message["type"]>(type: T): Promise<Of<T>> {
    return await this.until((message) => message.type === type) as Of<T>;
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    this.peer.abort();
    await this.done;
  }

  #receive(message: Message): void {
    this.inbox.push(message);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  #close(reason: MomError | null): void {
    this.#resolveClosed(reason);
    this.#wake();
  }
}
