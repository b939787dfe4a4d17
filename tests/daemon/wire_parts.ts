/** Both ends around a daemon, played by hand: a broker and apps that say just what a test wants. */

import assert from "node:assert/strict";
import type { ByteListener } from "../../protocol/byte_stream.ts";
import {
  systemClock as clock,
  systemEntropy as entropy,
} from "../../protocol/clock.ts";
import { acceptPeer, connectPeer } from "../../protocol/handshake.ts";
import { Heartbeats } from "../../protocol/heartbeats.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Message, MessageNamed } from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import { encodeRecord } from "../../protocol/record.ts";
import { bundleFields } from "../helpers/bundles.ts";
import type { MemoryNetwork } from "../../transport/memory.ts";
import { Daemon } from "../../daemon/daemon.ts";
import type { DaemonOptions } from "../../daemon/options.ts";

export const BROKER = "127.0.0.1:7000";
export const EPOCH = 9;
const WAIT_MS = 2_000;

/** Messages in the order of arrival, waited for by a test. */
export class Tape {
  #messages: Message[] = [];
  #waiting: (() => void)[] = [];

  add(message: Message): void {
    this.#messages.push(message);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** The next message of some types, passing over others. */
  async next<T extends Message["type"]>(
    ...types: T[]
  ): Promise<MessageNamed<T>> {
    const deadline = clock.monotonicMs() + WAIT_MS;
    const wanted: readonly string[] = types;
    while (true) {
      const index = this.#messages.findIndex(({ type }) =>
        wanted.includes(type)
      );
      if (index !== -1) {
        return this.#messages.splice(index, 1)[0] as MessageNamed<T>;
      }
      const left = deadline - clock.monotonicMs();
      assert(
        left > 0,
        `no ${types.join(" or ")} within ${WAIT_MS} ms; got ${
          this.types().join(" ")
        }`,
      );
      await this.#arrival(left);
    }
  }

  /** What is there and was not asked for. */
  types(): string[] {
    return this.#messages.map((message) => message.type);
  }

  async #arrival(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.setTimer(ms, resolve);
    this.#waiting.push(resolve);
    await promise;
    timer.cancel();
  }
}

/** A broker that answers ATTACH, DESTROY and ENDED by itself and leaves the rest to the test. */
export class ScriptedBroker {
  readonly tape = new Tape();
  peer: Peer | null = null;
  /** What it knows of the optional features. @default {all} */
  features?: readonly string[];
  #maxMessageBytes: number;
  #listener: ByteListener;
  #heartbeats = new Heartbeats(clock);
  #done: Promise<unknown>[] = [];
  #accepting: Promise<void>;
  #up: ((peer: Peer) => void)[] = [];

  constructor(
    network: MemoryNetwork,
    maxMessageBytes: number = LIMITS.messageBytes,
  ) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#listener = network.listen(BROKER);
    this.#accepting = this.#accept();
  }

  async #accept(): Promise<void> {
    for (
      let s = await this.#listener.accept();
      s !== null;
      s = await this.#listener.accept()
    ) {
      this.#done.push(
        acceptPeer(s, {
          clock,
          entropy,
          heartbeats: this.#heartbeats,
          token: null,
          features: this.features,
          maxMessageBytes: this.#maxMessageBytes,
          admit: (hello) => ({
            role: "broker",
            machine: hello.machine ?? "",
            storeId: new Uint8Array(16),
            epoch: EPOCH,
          }),
          handlers: (peer) => {
            this.peer = peer;
            for (const up of this.#up.splice(0)) up(peer);
            return {
              onMessage: (message) => this.#answer(peer, message),
              onClose: () => {},
            };
          },
        }).then((opened) => opened?.done),
      );
    }
  }

  #answer(peer: Peer, message: Message): void {
    this.tape.add(message);
    if (message.type === "ATTACH") {
      const { request, ref, incarnation, name } = message;
      const user = `${name}@north`;
      peer.send({
        type: "ATTACHED",
        request,
        ref,
        user,
        incarnation,
        suspect: 0,
        epoch: EPOCH,
      });
    }
    if (
      message.type === "DESTROY" || message.type === "ENDED" ||
      message.type === "SUBSCRIBE"
    ) {
      peer.send({ type: "OK", request: message.request });
    }
  }

  /** The next link. */
  nextLink(): Promise<Peer> {
    return new Promise((resolve) => this.#up.push(resolve));
  }

  async stop(): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    this.peer?.abort();
    await Promise.all(this.#done);
    this.#heartbeats.stop();
  }
}

/** An app that speaks the protocol by hand. */
export class ScriptedApp {
  readonly tape = new Tape();
  readonly handle: Uint8Array;
  readonly incarnation: Uint8Array;
  readonly name: string;
  /** What it knows of the optional features. @default {all} */
  features?: readonly string[];
  peer!: Peer;
  #done!: Promise<void>;
  #heartbeats = new Heartbeats(clock);
  #requests = 0;

  constructor(
    name: string,
    handle = entropy.bytes(16),
    incarnation = entropy.bytes(16),
  ) {
    this.name = name;
    this.handle = handle;
    this.incarnation = incarnation;
  }

  async connect(
    network: MemoryNetwork,
    address: string,
    token: string,
  ): Promise<this> {
    const { peer, done } = await connectPeer(await network.dial(address), {
      clock,
      entropy,
      heartbeats: this.#heartbeats,
      token,
      features: this.features,
      hello: { role: "app", machine: null, machineKey: null, credit: 1 << 20 },
      handlers: () => ({
        onMessage: (m) => this.tape.add(m),
        onClose: () => {},
      }),
    });
    this.peer = peer;
    this.#done = done;
    return this;
  }

  async attach(
    credit: number,
    known: number[] = [],
    create = true,
    named = true,
  ): Promise<number> {
    this.peer.send({
      type: "ATTACH",
      request: ++this.#requests,
      ref: 1,
      name: this.name,
      named,
      incarnation: this.incarnation,
      create,
      handle: this.handle,
      credit,
      known,
    });
    return (await this.tape.next("ATTACHED")).suspect;
  }

  publish(
    topic: string,
    firstSequence: number,
    text: string,
    wanted?: 0 | 1,
  ): number {
    this.peer.send({
      type: "PUBLISH",
      request: ++this.#requests,
      topic,
      producer: this.handle,
      previous: firstSequence - 1,
      firstSequence,
      count: 1,
      attributes: null,
      batch: encodeRecord(text),
      wanted,
    });
    return this.#requests;
  }

  /**
   * Publishes texts of several topics as one bundle, in that order.
   *
   * @param firsts Sequence of the first record of a topic. @default {1}
   * @returns The request's number of each topic.
   */
  publishBundle(
    texts: readonly (readonly [topic: string, text: string])[],
    { firsts = {}, wanted = 0, attributes = null }: {
      firsts?: Readonly<Record<string, number>>;
      wanted?: 0 | 1;
      attributes?: Map<number, unknown> | null;
    } = {},
  ): Map<string, number> {
    const requests = new Map<string, number>();
    const records = texts.map(([topic, text]) =>
      [topic, encodeRecord(text)] as const
    );
    const fields = bundleFields(records, (topic) => {
      const request = ++this.#requests;
      requests.set(topic, request);
      return { request, first: firsts[topic] ?? 1 };
    });
    const producer = this.handle;
    this.peer.send({
      type: "BUNDLE",
      producer,
      attributes,
      wanted,
      ...fields,
    });
    return requests;
  }

  async close(): Promise<void> {
    this.peer.abort();
    await this.#done;
    this.#heartbeats.stop();
  }
}

/** A daemon on a memory network. */
export function startDaemon(
  network: MemoryNetwork,
  options: Partial<DaemonOptions> = {},
): Promise<Daemon> {
  return Daemon.start({
    broker: BROKER,
    listen: { port: 0 },
    data: ":memory:",
    machine: "north",
    token: "0123456789abcdef0123456789abcdef",
    brokerToken: "unused-unused-unused",
    dialer: network,
    listener: network.listen("127.0.0.1:0"),
    ...options,
  });
}

/** A DELIVER of one text. */
export function delivery(ref: number, offset: number, text: string): Message {
  return {
    type: "DELIVER",
    targets: [ref, 0],
    logId: EPOCH * 2 ** 21 + 4,
    topic: "doors",
    baseOffset: offset,
    count: 1,
    position: 100 + offset,
    time: 1,
    sender: "ben@south",
    attributes: null,
    batch: encodeRecord(text),
  };
}

/** A DELIVER_BUNDLE of texts, a log for each topic, in the order of publishing. */
export function bundleDelivery(
  refs: number[],
  position: number,
  texts: readonly (readonly [topic: string, text: string])[],
  {
    bases = {},
    flags = 0,
    attributes = null,
  }: {
    bases?: Readonly<Record<string, number>>;
    flags?: number;
    attributes?: Map<number, unknown> | null;
  } = {},
): Message {
  const records = texts.map(([topic, text]) =>
    [topic, encodeRecord(text)] as const
  );
  const { topics, parts, order, batch } = bundleFields(
    records,
    () => ({ request: 0, first: 0, previous: 0 }),
  );
  const told = topics.flatMap((topic, i) => {
    const [, , , count, bytes] = parts.slice(5 * i);
    return [logOf(topic), bases[topic] ?? 0, count, flags, bytes];
  });
  return {
    type: "DELIVER_BUNDLE",
    refs,
    position,
    time: 1,
    sender: "ben@south",
    attributes,
    topics,
    parts: told,
    order,
    batch,
  };
}

/** The log of a topic of one letter. */
export function logOf(topic: string): number {
  return EPOCH * 2 ** 21 + topic.charCodeAt(0);
}
