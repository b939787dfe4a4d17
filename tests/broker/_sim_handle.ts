/**
 * A handle for model tests: attaches, subscribes, publishes, takes, loses its
 * connection, dies. It checks all that it is sent.
 *
 * @module
 */

import assert from "node:assert/strict";
import { LEVEL, OUTCOME, TARGET_FLAG } from "../../protocol/messages.ts";
import { bundleFields, recordsInOrder } from "../helpers/bundles.ts";
import { costIn } from "./_bundles.ts";
import { batchOf, idOf, numberOf, numbersOf, recordOf } from "./_records.ts";
import type { Of, Wire } from "./_world.ts";

/** A message as it came. */
export interface Arrival {
  /** `log id:offset`, good for ever. */
  readonly key: string;
  readonly logId: number;
  readonly offset: number;
  readonly topic: string;
  readonly number: number;
}

/** A batch that was sent, or a bundle of several, and has not all its receipts. */
interface Sending {
  /** In the order of publishing. */
  readonly records: readonly Published[];
  /** Sequence of the first record of each topic. */
  readonly firsts: ReadonlyMap<string, number>;
  readonly bytes: number;
  /** Topics without a receipt, by request. */
  readonly requests: Map<number, string>;
}

/** A number and where it is published. */
export type Published = readonly [topic: string, number: number];

interface Unconfirmed {
  number: number;
  readonly outcomes: number[];
  readonly keys: readonly string[];
  /** On a daemon's disk: it outlives the process. */
  readonly isDurable: boolean;
}

const HUGE = 1 << 30;

/** What is known of a message's fate at the user, over all its handles. */
export interface Fates {
  /** Taken by a live handle, or confirmed: must not come again. */
  readonly taken: Set<string>;
  /** Taken by a handle that died before the confirmation: may come again, flagged. */
  readonly unsure: Set<string>;
  /** Numbers of what was taken, in order. */
  readonly numbers: number[];
  /** A subscription reached back over what was taken: it comes again by design. */
  mayReplay: boolean;
}

/** A user's fates to begin with. */
export function noFates(): Fates {
  return {
    taken: new Set(),
    unsure: new Set(),
    numbers: [],
    mayReplay: false,
  };
}

let requests = 0;
let ids = 0;

/** A fresh id, the same in no other place of this process. */
export function freshId(): Uint8Array {
  return idOf(++ids);
}

/** One handle of one user over one wire at a time. */
export class SimHandle {
  readonly name: string;
  readonly ref: number;
  readonly isDaemon: boolean;
  readonly producer: Uint8Array;
  readonly handle: Uint8Array;
  readonly fates: Fates;
  incarnation: Uint8Array;
  create = true;
  wire: Wire | null = null;
  isAttached = false;
  /** Pushed and not taken. */
  buffer: Arrival[] = [];
  /** What a daemon answers for. */
  custody: Arrival[] = [];
  /** Numbers that have a receipt. */
  readonly receipted: number[] = [];
  granted = 0;
  #spent = 0;
  #suspect = 0;
  #lastPosition = 0;
  /** The last number that came of each sender: they rise over all topics. */
  readonly #lastOf = new Map<string, number>();
  /** A subscription reached back: order holds from the next flow on. */
  mayReorder = false;
  #seen = new Set<string>();
  #acks = 0;
  #unconfirmed: Unconfirmed[] = [];
  #sequences = new Map<string, number>();
  #sendings: Sending[] = [];

  constructor(
    options: {
      name: string;
      ref: number;
      isDaemon: boolean;
      /** Of the handle; a daemon's process has one for all its users. */
      handle: Uint8Array;
      incarnation: Uint8Array;
      fates: Fates;
    },
  ) {
    this.name = options.name;
    this.ref = options.ref;
    this.isDaemon = options.isDaemon;
    this.handle = options.handle;
    this.producer = options.isDaemon ? freshId() : options.handle;
    this.incarnation = options.incarnation;
    this.fates = options.fates;
  }

  /** Attaches over a wire, telling what it has. */
  attach(wire: Wire, credit: number): void {
    this.wire = wire;
    this.isAttached = false;
    this.granted = credit;
    this.#spent = 0;
    wire.send({
      type: "ATTACH",
      request: ++requests,
      ref: this.ref,
      name: this.name,
      named: true,
      incarnation: this.incarnation,
      create: this.create,
      handle: this.handle,
      credit,
      known: this.#known(),
    });
    if (this.isDaemon) {
      wire.send({
        type: "INTRODUCE",
        producer: this.producer,
        user: this.name,
      });
    }
    for (const sending of this.#sendings) this.#send(sending);
  }

  /** What it has told and not seen confirmed, and all that it answers for (PROTOCOL 5.6). */
  #known(): number[] {
    const custody = this.custody.flatMap(({ logId, offset }) => [
      OUTCOME.custody,
      logId,
      offset,
      offset + 1,
    ]);
    return [
      ...custody,
      ...this.#unconfirmed.flatMap(({ outcomes }) => outcomes),
    ];
  }

  /** Takes a message of its wire that is meant for it; whether it was. */
  receive(
    message: Of<
      "ATTACHED" | "DELIVER" | "DELIVER_BUNDLE" | "CONFIRM" | "RECEIPT"
    >,
  ): boolean {
    switch (message.type) {
      case "ATTACHED":
        return message.ref === this.ref && this.#attached(message);
      case "DELIVER":
        return this.#deliver(message);
      case "DELIVER_BUNDLE":
        return this.#deliverBundle(message);
      case "CONFIRM":
        return message.ref === this.ref && this.#confirmed(message.number);
      case "RECEIPT":
        return this.#receipt(message.request);
    }
  }

  /** Publishes numbers in one batch, or as one bundle if they go to several topics. */
  publish(records: readonly Published[], bytes: number): void {
    const firsts = new Map<string, number>();
    for (const [topic] of records) {
      const sequence = (this.#sequences.get(topic) ?? 0) + 1;
      this.#sequences.set(topic, sequence);
      if (!firsts.has(topic)) firsts.set(topic, sequence);
    }
    const sending = { records, firsts, bytes, requests: new Map() };
    this.#sendings.push(sending);
    this.#send(sending);
  }

  /** Takes up to `count` of what was pushed; a daemon into custody if told. */
  take(count: number, intoCustody: boolean): void {
    const taken = this.buffer.splice(0, count);
    if (taken.length === 0) return;
    if (!intoCustody) return this.#settle(taken, OUTCOME.delivered);
    this.custody.push(...taken);
    for (const { key } of taken) this.fates.taken.add(key);
    this.#acknowledge(taken, OUTCOME.custody, true);
  }

  /** A daemon's app takes up to `count` of what is in custody. */
  takeCustody(count: number): void {
    const taken = this.custody.splice(0, count);
    if (taken.length === 0) return;
    for (const { number } of taken) this.fates.numbers.push(number);
    this.#acknowledge(taken, OUTCOME.delivered, true);
  }

  /** Raises its credit. */
  grant(bytes: number): void {
    if (!this.isAttached) return;
    this.granted += bytes;
    const { ref, granted } = this;
    this.wire?.send({ type: "CREDIT", ref, total: granted });
  }

  /** All the credit it may need. */
  grantAll(): void {
    this.grant(HUGE);
  }

  /** The connection is gone. */
  disconnected(): void {
    this.wire = null;
    this.isAttached = false;
    this.buffer = [];
  }

  /** Dies: what it had not seen confirmed may come again. */
  die(): void {
    this.disconnected();
    const lost = this.#unconfirmed.filter(({ isDurable }) => !isDurable);
    for (const key of lost.flatMap(({ keys }) => keys)) {
      this.fates.taken.delete(key);
      this.fates.unsure.add(key);
    }
    this.#unconfirmed = this.#unconfirmed.filter(({ isDurable }) => isDurable);
    this.#sendings = [];
  }

  /** The user's next handle: of an app, or of its daemon's next process. */
  successor(handle: Uint8Array): SimHandle {
    const { name, ref, isDaemon, incarnation, fates } = this;
    const next = new SimHandle(
      { name, ref, isDaemon, handle, incarnation, fates },
    );
    // A new app knows no incarnation; a daemon's next process does.
    next.create = this.isDaemon ? this.create : true;
    next.custody = this.custody;
    next.#unconfirmed = this.#unconfirmed.map((each) => ({
      ...each,
      number: 0,
    }));
    return next;
  }

  /** Whether every publish has its receipt and every take its confirmation. */
  get isQuiet(): boolean {
    return this.#sendings.length === 0 && this.#unconfirmed.length === 0;
  }

  #settle(taken: readonly Arrival[], outcome: number): void {
    for (const { key, number } of taken) {
      this.fates.taken.add(key);
      this.fates.numbers.push(number);
    }
    this.#acknowledge(taken, outcome, false);
  }

  #acknowledge(
    taken: readonly Arrival[],
    kind: number,
    isDurable: boolean,
  ): void {
    const outcomes = taken.flatMap(({ logId, offset }) => [
      kind,
      logId,
      offset,
      offset + 1,
    ]);
    const keys = taken.map(({ key }) => key);
    const number = this.isAttached ? ++this.#acks : 0;
    this.#unconfirmed.push({ number, outcomes, keys, isDurable });
    if (!this.isAttached) return;
    this.wire?.send({ type: "ACK", ref: this.ref, number, outcomes });
  }

  #send({ records, firsts, bytes, requests: asked }: Sending): void {
    asked.clear();
    const requestOf = (topic: string) => {
      asked.set(++requests, topic);
      return { request: requests, first: firsts.get(topic)! };
    };
    const { producer } = this;
    if (firsts.size > 1) {
      const encoded = records.map(([topic, number]) =>
        [topic, recordOf(number, bytes)] as const
      );
      this.wire?.send({
        type: "BUNDLE",
        producer,
        attributes: null,
        wanted: LEVEL.broker,
        ...bundleFields(encoded, requestOf),
      });
      return;
    }
    const [[topic]] = records;
    const { request, first } = requestOf(topic);
    this.wire?.send({
      type: "PUBLISH",
      request,
      topic,
      producer,
      previous: first - 1,
      firstSequence: first,
      count: records.length,
      attributes: null,
      batch: batchOf(records.map(([, number]) => number), bytes),
      wanted: undefined,
    });
  }

  #attached(message: Of<"ATTACHED">): boolean {
    this.isAttached = true;
    this.create = false;
    this.incarnation = message.incarnation;
    this.buffer = [];
    this.#suspect = message.suspect;
    this.#seen = new Set();
    this.#lastPosition = 0;
    this.#lastOf.clear();
    this.mayReorder = false;
    this.#acks = 0;
    // Listed in ATTACH, and committed before ATTACHED.
    this.#unconfirmed = this.#unconfirmed.filter(({ number }) => number === 0);
    for (const late of this.#unconfirmed) {
      const { outcomes } = late;
      late.number = ++this.#acks;
      this.wire?.send({
        type: "ACK",
        ref: this.ref,
        number: late.number,
        outcomes,
      });
    }
    return true;
  }

  #confirmed(number: number): boolean {
    assert.ok(number <= this.#acks, "a CONFIRM for an ACK that was not sent");
    this.#unconfirmed = this.#unconfirmed.filter((each) =>
      each.number === 0 || each.number > number
    );
    return true;
  }

  #receipt(request: number): boolean {
    const at = this.#sendings.findIndex((each) => each.requests.has(request));
    if (at === -1) return false;
    const { requests, records } = this.#sendings[at];
    const topic = requests.get(request);
    requests.delete(request);
    if (requests.size === 0) this.#sendings.splice(at, 1);
    for (const [each, number] of records) {
      if (each === topic) this.receipted.push(number);
    }
    return true;
  }

  #deliver(message: Of<"DELIVER">): boolean {
    const { targets, logId, baseOffset, topic, batch, count } = message;
    let isMine = false;
    for (let i = 0; i < targets.length; i += 2) {
      if (targets[i] !== this.ref || !this.isAttached) continue;
      isMine = true;
      const numbers = numbersOf(batch);
      assert.equal(numbers.length, count);
      this.#checkCredit(message, count);
      this.#checkPosition(message);
      const flags = targets[i + 1];
      for (const [index, number] of numbers.entries()) {
        const offset = baseOffset + index;
        this.#take(message, { logId, offset, topic, number }, flags);
      }
    }
    return isMine;
  }

  #deliverBundle(message: Of<"DELIVER_BUNDLE">): boolean {
    const { refs, topics, parts } = message;
    if (!refs.includes(this.ref) || !this.isAttached) return false;
    this.#checkCredit(message, topics.length);
    this.#checkPosition(message);
    const next = topics.map((_, i) => parts[5 * i + 1]);
    for (const [topic, content] of recordsInOrder(message)) {
      const i = topics.indexOf(topic);
      const [logId, flags] = [parts[5 * i], parts[5 * i + 3]];
      const number = numberOf(content);
      this.#take(message, { logId, offset: next[i]++, topic, number }, flags);
    }
    return true;
  }

  #checkCredit(
    message: Of<"DELIVER" | "DELIVER_BUNDLE">,
    count: number,
  ): void {
    const cost = costIn(message);
    const left = this.granted - this.#spent;
    assert.ok(
      cost <= left || (count === 1 && left > 0),
      `${message.type} costs ${cost}, credit ${left}`,
    );
    this.#spent += cost;
  }

  #checkPosition({ position }: Of<"DELIVER" | "DELIVER_BUNDLE">): void {
    if (!this.mayReorder) {
      assert.ok(position >= this.#lastPosition, "positions out of order");
    }
    this.#lastPosition = Math.max(position, this.#lastPosition);
  }

  #take(
    { position, sender }: Of<"DELIVER" | "DELIVER_BUNDLE">,
    arrival: Omit<Arrival, "key">,
    flags: number,
  ): void {
    const { logId, offset, number } = arrival;
    const key = `${logId}:${offset}`;
    const isFlagged = position <= this.#suspect ||
      (flags & TARGET_FLAG.redelivered) !== 0;
    if (!this.mayReorder) {
      const last = this.#lastOf.get(sender) ?? 0;
      assert.ok(number > last, `${number} of ${sender} comes after ${last}`);
      this.#lastOf.set(sender, number);
    }
    assert.ok(!this.#seen.has(key), `${key} came twice in one flow`);
    this.#seen.add(key);
    if (!this.fates.mayReplay) {
      assert.ok(!this.fates.taken.has(key), `${key} was taken before`);
      if (this.fates.unsure.has(key)) {
        assert.ok(isFlagged, `${key} came again without a flag`);
      }
    }
    this.buffer.push({ key, ...arrival });
  }
}
