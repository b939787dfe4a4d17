/**
 * A broker as coordinators see it, in virtual time: topics in one order of
 * positions, and for each coordinator a mailbox that keeps what is not
 * acknowledged.
 *
 * @module
 */

import type { Received } from "../../coordinator/server/replica.ts";
import type { Random } from "../helpers/random.ts";
import type { Kernel } from "../sim/kernel.ts";
import type { Part } from "../sim/part.ts";

/** A message of a topic. */
export interface Stored {
  readonly topic: string;
  readonly offset: number;
  readonly time: number;
  readonly value: unknown;
  readonly position: number;
}

/** Wall time at the beginning. */
const EPOCH_MS = 1_800_000_000_000;

/** All topics. */
export class SimBroker {
  readonly kernel: Kernel;
  readonly #topics = new Map<string, Stored[]>();
  readonly #mailboxes = new Set<Mailbox>();
  #position = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  topic(topic: string): Stored[] {
    let stored = this.#topics.get(topic);
    if (stored === undefined) this.#topics.set(topic, stored = []);
    return stored;
  }

  /** Accepts a message; copied, as bytes would be. */
  append(topic: string, value: unknown): void {
    const stored = this.topic(topic);
    const message = {
      topic,
      offset: stored.length,
      time: EPOCH_MS + Math.floor(this.kernel.nowMs),
      value: structuredClone(value),
      position: this.#position++,
    };
    stored.push(message);
    for (const mailbox of this.#mailboxes) mailbox.put(message);
  }

  add(mailbox: Mailbox): void {
    this.#mailboxes.add(mailbox);
  }
}

/** Who publishes: what it publishes arrives in order, or from some point on not. */
export class SimPublisher {
  readonly #broker: SimBroker;
  readonly #part: Part;
  readonly #random: Random;
  #lastMs = 0;
  #sent = 0;
  #arrived = 0;
  #limit = Infinity;

  constructor(broker: SimBroker, part: Part) {
    this.#broker = broker;
    this.#part = part;
    this.#random = broker.kernel.random.fork();
    part.onDeath(() => {
      // What has left it may arrive, up to some point.
      this.#limit = this.#random.integer(this.#arrived, this.#sent);
    });
  }

  /** Resolves when the broker has it and that is known. */
  publish(topic: string, value: unknown): Promise<void> {
    const { kernel } = this.#broker;
    const number = ++this.#sent;
    const copy = structuredClone(value);
    const delayMs = this.#random.chance(0.03)
      ? this.#random.integer(50, 800)
      : this.#random.fraction() * 3;
    this.#lastMs = Math.max(this.#lastMs, kernel.nowMs + delayMs);
    return new Promise((resolve) =>
      kernel.after(this.#lastMs - kernel.nowMs, null, "publish", () => {
        if (number > this.#limit) return;
        this.#arrived = number;
        this.#broker.append(topic, copy);
        kernel.after(this.#random.fraction(), this.#part, "receipt", resolve);
      })
    );
  }
}

/** What one coordinator was sent and has not acknowledged. */
export class Mailbox {
  readonly #broker: SimBroker;
  readonly #random: Random;
  /** In the order of positions. */
  #items: Stored[] = [];
  readonly #subscribed = new Set<string>();
  #reader: { part: Part; take: (topic: string, m: Received) => void } | null =
    null;
  #lastMs = 0;
  /** Records that get lost on their way here. */
  losses = 0;

  constructor(broker: SimBroker) {
    this.#broker = broker;
    this.#random = broker.kernel.random.fork();
    broker.add(this);
  }

  /** Whether the topic was not yet subscribed to. */
  subscribe(topic: string, from: "last" | number): boolean {
    if (this.#subscribed.has(topic)) return false;
    this.#subscribed.add(topic);
    const all = this.#broker.topic(topic);
    const begin = from === "last" ? Math.max(0, all.length - 1) : from;
    for (const message of all.slice(begin)) this.#add(message);
    return true;
  }

  put(message: Stored): void {
    if (!this.#subscribed.has(message.topic)) return;
    if (this.losses > 0 && message.topic.endsWith("/log")) {
      this.losses--;
      return;
    }
    this.#add(message);
  }

  /** A new life reads: all that is not acknowledged comes again. */
  read(part: Part, take: (topic: string, message: Received) => void): void {
    this.#reader = { part, take };
    this.#lastMs = 0;
    this.#items.sort((a, b) => a.position - b.position);
    for (const message of this.#items) this.#deliver(message);
  }

  #add(message: Stored): void {
    this.#items.push(message);
    this.#deliver(message);
  }

  #deliver(message: Stored): void {
    const reader = this.#reader;
    if (reader === null || reader.part.isDead) return;
    const { kernel } = this.#broker;
    const delayMs = this.#random.fraction() * 3;
    this.#lastMs = Math.max(this.#lastMs, kernel.nowMs + delayMs);
    const { topic, offset, time, value } = message;
    kernel.after(this.#lastMs - kernel.nowMs, reader.part, "deliver", () => {
      reader.take(topic, {
        offset,
        time,
        value: structuredClone(value),
        ack: () => this.#acknowledge(message, reader.part),
      });
    });
  }

  #acknowledge(message: Stored, part: Part): Promise<void> {
    return new Promise((resolve) =>
      this.#broker.kernel.after(1, part, "ack", () => {
        this.#items = this.#items.filter((item) => item !== message);
        resolve();
      })
    );
  }
}
