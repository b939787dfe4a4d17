/**
 * A server that does what a test tells it: it opens conversations, answers by
 * itself what is not scripted, and keeps what it hears.
 *
 * @module
 */

import { joined, publishesOf } from "../../protocol/bundle.ts";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import type { ByteListener } from "../../protocol/byte_stream.ts";
import { acceptPeer } from "../../protocol/handshake.ts";
import { Heartbeats } from "../../protocol/heartbeats.ts";
import type {
  Attach,
  Deliver,
  DeliverBundle,
  Message,
  MessageNamed,
} from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import { encodeRecord } from "../../protocol/record.ts";
import type { MomError } from "../../protocol/errors.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { Mom } from "../../daemon/client.ts";
import type { ConnectOptions } from "../../daemon/client.ts";

/** What a script makes of a message; `false` leaves it to the server's own ways. */
export type Script = (message: Message, peer: Peer) => boolean | void;

type Type = Message["type"];

/** A record that is part of a bundle: its topic, and its bytes. */
export type BundledRecord = readonly [topic: string, record: Uint8Array];

const HOST = { hostname: "127.0.0.1", port: 6270 };

/** The server. It tells role `daemon`, machine `north`. */
export class ScriptedServer implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = systemClock;
  /** All messages heard, in order. */
  readonly heard: Message[] = [];
  /** What it says of itself in ATTACHED. */
  suspect = 0;
  epoch = 1;
  maxMessageBytes = 8 * 1024 * 1024;
  role: "daemon" | "broker" = "daemon";
  /** Optional features that it knows. */
  features: readonly string[] = [];
  script: Script = () => false;
  /** Flags of the parts of its bundles. */
  flags = 0;
  /** The connection that was attached last. */
  peer: Peer | null = null;
  readonly #heartbeats = new Heartbeats(systemClock);
  readonly #waiting: { type: Type; resolve: (message: Message) => void }[] = [];
  readonly #taken = new Map<Type, number>();
  readonly #handles: Mom[] = [];
  #listener: ByteListener;
  #serving: Promise<void>;
  #running: Promise<void>[] = [];
  #offsets = new Map<string, number>();
  readonly #logs = new Map<string, number>();

  constructor(readonly token: string | null = null) {
    this.#listener = this.network.listen(HOST);
    this.#serving = this.#serve();
  }

  /** A handle on this server. */
  async connect(options: ConnectOptions = {}): Promise<Mom> {
    const mom = await Mom.connect({
      daemon: HOST,
      dialer: this.network,
      token: this.token ?? undefined,
      // Back soon after a lost connection.
      entropy: { ...systemEntropy, fraction: () => 0.02 },
      ...options,
    });
    this.#handles.push(mom);
    return mom;
  }

  /** The next message of a type that was not asked for yet. */
  next<T extends Type>(type: T): Promise<MessageNamed<T>> {
    const skip = this.#taken.get(type) ?? 0;
    this.#taken.set(type, skip + 1);
    const known = this.heard.filter((message) => message.type === type)[skip];
    if (known !== undefined) return Promise.resolve(known as MessageNamed<T>);
    return new Promise((resolve) =>
      this.#waiting.push({ type, resolve: resolve as (m: Message) => void })
    );
  }

  /** How many messages of a type were heard. */
  count(type: Type): number {
    return this.heard.filter((message) => message.type === type).length;
  }

  /** Sends to the handle. */
  send(message: Message): void {
    this.peer!.send(message);
  }

  /** Sends values as one batch, from the topic's next offset. */
  deliver(
    topic: string,
    values: readonly unknown[],
    more: Partial<Deliver> = {},
  ): void {
    const records = values.map((value) => encodeRecord(value));
    this.deliverBytes(topic, concat(records), values.length, more);
  }

  /** As {@linkcode ScriptedServer.deliver}, with bytes of any kind. */
  deliverBytes(
    topic: string,
    batch: Uint8Array,
    count: number,
    more: Partial<Deliver> = {},
  ): void {
    const baseOffset = more.baseOffset ?? this.#offsets.get(topic) ?? 0;
    this.#offsets.set(topic, baseOffset + count);
    this.send({
      type: "DELIVER",
      targets: [1, 0],
      logId: 2 ** 21 + 1,
      topic,
      baseOffset,
      count,
      position: 10,
      time: 1_700_000_000_000,
      sender: "ben@south",
      attributes: null,
      batch,
      ...more,
    });
  }

  /**
   * Sends records of several topics as one bundle, in this order, from the topics'
   * next offsets. A log's number is that of its topic's first delivery.
   */
  deliverBundle(
    records: readonly BundledRecord[],
    more: Partial<DeliverBundle> = {},
  ): void {
    const topics = [...new Set(records.map(([topic]) => topic))];
    const batches = topics.map((topic) =>
      joined(records.filter(([each]) => each === topic).map(([, it]) => it))
    );
    this.send({
      type: "DELIVER_BUNDLE",
      refs: [1],
      position: 10,
      time: 1_700_000_000_000,
      sender: "ben@south",
      attributes: null,
      topics,
      parts: topics.flatMap((topic, i) => {
        const count = records.filter(([each]) => each === topic).length;
        const base = this.#offsets.get(topic) ?? 0;
        this.#offsets.set(topic, base + count);
        return [this.logOf(topic), base, count, this.flags, batches[i].length];
      }),
      order: Uint8Array.from(records, ([topic]) => topics.indexOf(topic)),
      batch: joined(batches),
      ...more,
    });
  }

  /** The number of a topic's log in {@linkcode ScriptedServer.deliverBundle}. */
  logOf(topic: string): number {
    const number = this.#logs.get(topic) ?? this.#logs.size + 1;
    this.#logs.set(topic, number);
    return 2 ** 21 + number;
  }

  /** Ends all connections; new ones are taken. */
  cut(): void {
    this.network.cut();
  }

  /** Ends all connections and takes no more. */
  down(): void {
    this.network.down();
  }

  /** Takes connections again. */
  up(): void {
    this.network.up();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.script = () => false;
    this.up();
    await Promise.all(this.#handles.map((mom) => mom.close()));
    this.#listener.close();
    this.network.down();
    await this.#serving;
    await Promise.all(this.#running);
    this.#heartbeats.stop();
  }

  async #serve(): Promise<void> {
    while (true) {
      const stream = await this.#listener.accept();
      if (stream === null) return;
      const opening = acceptPeer(stream, {
        clock: systemClock,
        entropy: systemEntropy,
        heartbeats: this.#heartbeats,
        token: this.token,
        features: this.features,
        maxMessageBytes: this.maxMessageBytes,
        admit: (hello) => {
          this.#hear(hello);
          return {
            role: this.role,
            machine: "north",
            storeId: new Uint8Array(16),
            epoch: this.epoch,
          };
        },
        handlers: (peer) => ({
          onMessage: (message) => this.#onMessage(message, peer),
          onClose: (_reason: MomError | null) => {},
        }),
      });
      this.#running.push(opening.then(async (opened) => await opened?.done));
    }
  }

  #onMessage(message: Message, peer: Peer): void {
    if (message.type === "ATTACH") this.peer = peer;
    this.#hear(message);
    if (this.script(message, peer) === true) return;
    switch (message.type) {
      case "ATTACH":
        return this.attached(message, peer);
      case "PUBLISH":
        return peer.send({
          type: "RECEIPT",
          request: message.request,
          level: 1,
          offset: message.firstSequence - 1,
        });
      case "BUNDLE":
        for (const { request, firstSequence } of publishesOf(message)) {
          const offset = firstSequence - 1;
          peer.send({ type: "RECEIPT", request, level: 1, offset });
        }
        return;
      case "ACK":
        return peer.send({ type: "CONFIRM", ref: 1, number: message.number });
      case "SUBSCRIBE":
      case "UNSUBSCRIBE":
      case "DETACH":
      case "DESTROY":
        return peer.send({ type: "OK", request: message.request });
    }
  }

  /** The usual answer to ATTACH. */
  attached(message: Attach, peer: Peer): void {
    peer.send({
      type: "ATTACHED",
      request: message.request,
      ref: message.ref,
      user: `${message.name}@north`,
      incarnation: message.incarnation,
      suspect: this.suspect,
      epoch: this.epoch,
    });
  }

  #hear(message: Message): void {
    this.heard.push(message);
    const index = this.#waiting.findIndex(({ type }) => type === message.type);
    if (index >= 0) this.#waiting.splice(index, 1)[0]!.resolve(message);
  }
}

/** Bytes, one array behind the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("Expected a rejection");
}

/** The code that a promise rejects with. */
export async function rejectionCode(
  promise: Promise<unknown>,
): Promise<string> {
  const error = await rejection(promise) as MomError;
  return error.code ?? error.name;
}
