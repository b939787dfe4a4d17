/**
 * A wire with an attached user, and short words for what tests ask of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { LEVEL, OUTCOME } from "../../protocol/messages.ts";
import { bundleFields } from "../helpers/bundles.ts";
import { type BundleRecord, recordsIn } from "./_bundles.ts";
import { batchOf, idOf, numbersOf, recordOf } from "./_records.ts";
import { freshId } from "./_sim_handle.ts";
import type { Of, Wire, World } from "./_world.ts";

/** Options of {@linkcode App.attach}. */
export interface AppOptions {
  /** @default {true} */
  named?: boolean;
  /** @default {1 << 30} */
  credit?: number;
  /** @default {a fresh one} */
  handle?: Uint8Array;
  /** @default {a fresh one} */
  incarnation?: Uint8Array;
  /** @default {true} */
  create?: boolean;
  /** @default {1} */
  ref?: number;
  known?: number[];
}

/** Options of {@linkcode App.publish}. */
export interface PublishOptions {
  /** Bytes of a record. @default {9} */
  bytes?: number;
  attributes?: Map<number, unknown>;
  /** @default {the one behind the last} */
  first?: number;
  /** @default {the one before `first`} */
  previous?: number;
  /** @default {the handle} */
  producer?: Uint8Array;
}

/** One attached user. */
export class App {
  readonly world: World;
  readonly wire: Wire;
  readonly name: string;
  readonly ref: number;
  readonly handle: Uint8Array;
  incarnation: Uint8Array;
  #requests = 0;
  #acks = 0;
  #sequences = new Map<string, number>();

  private constructor(
    world: World,
    wire: Wire,
    name: string,
    options: AppOptions,
  ) {
    this.world = world;
    this.wire = wire;
    this.name = name;
    this.ref = options.ref ?? 1;
    this.handle = options.handle ?? freshId();
    this.incarnation = options.incarnation ?? freshId();
  }

  /** Attaches a user over a wire; the answer may be an error. */
  static async attach(
    world: World,
    wire: Wire,
    name: string,
    options: AppOptions = {},
  ): Promise<App> {
    const app = new App(world, wire, name, options);
    await app.attachAgain(options);
    return app;
  }

  /** Attaches, or attaches again. */
  async attachAgain(options: AppOptions = {}): Promise<void> {
    this.#acks = 0;
    await this.ask({
      type: "ATTACH",
      ref: this.ref,
      name: this.name,
      named: options.named ?? true,
      incarnation: this.incarnation,
      create: options.create ?? true,
      handle: this.handle,
      credit: options.credit ?? 1 << 30,
      known: options.known ?? [],
    });
  }

  /** What ATTACHED last told. */
  get attached(): Of<"ATTACHED"> {
    const all = this.wire.all("ATTACHED").filter(({ ref }) => ref === this.ref);
    const last = all.at(-1);
    assert.ok(last !== undefined, "not attached");
    return last;
  }

  /** Sends a request and waits; gives the answer's type, or an error's code. */
  async ask(
    message: Record<string, unknown> & { type: string },
  ): Promise<string> {
    const request = ++this.#requests + this.ref * 1_000_000;
    this.wire.send({ ...message, request } as unknown as Of<"OK">);
    await this.world.settle();
    const answer = this.wire.answer(request);
    assert.ok(answer !== undefined, `no answer to ${message.type}`);
    return answer.type === "ERROR" ? answer.code : answer.type;
  }

  /** Subscribes from now on, unless told otherwise. */
  subscribe(
    filter: string,
    options: Record<string, unknown> = {},
  ): Promise<string> {
    return this.ask({
      type: "SUBSCRIBE",
      ref: this.ref,
      filter,
      from: "now",
      fromValue: 0,
      manual: false,
      echo: false,
      ...options,
    });
  }

  /** Ends a subscription. */
  unsubscribe(filter: string): Promise<string> {
    return this.ask({ type: "UNSUBSCRIBE", ref: this.ref, filter });
  }

  /** Publishes numbers in one batch, waits for the answer. */
  async publish(
    topic: string,
    numbers: readonly number[],
    options: PublishOptions = {},
  ): Promise<Of<"RECEIPT"> | Of<"ERROR">> {
    const request = this.send(topic, numbers, options);
    await this.world.settle();
    const answer = this.wire.answer(request);
    assert.ok(answer?.type === "RECEIPT" || answer?.type === "ERROR");
    return answer;
  }

  /** Publishes numbers in one batch; gives the request's number. */
  send(
    topic: string,
    numbers: readonly number[],
    options: PublishOptions = {},
  ): number {
    const first = options.first ?? (this.#sequences.get(topic) ?? 0) + 1;
    this.#sequences.set(topic, first + numbers.length - 1);
    const request = ++this.#requests + this.ref * 1_000_000;
    this.wire.send({
      type: "PUBLISH",
      request,
      topic,
      producer: options.producer ?? this.handle,
      previous: options.previous ?? first - 1,
      firstSequence: first,
      count: numbers.length,
      attributes: options.attributes ?? null,
      batch: batchOf(numbers, options.bytes),
      wanted: undefined,
    });
    return request;
  }

  /**
   * Publishes records of several topics as one bundle, in that order.
   *
   * @param firsts Sequence of the first record of a topic, where that is not the
   *   one behind the last.
   * @returns The request's number of each topic.
   */
  sendBundle(
    records: readonly BundleRecord[],
    { attributes, firsts = {} }: {
      attributes?: Map<number, unknown>;
      firsts?: Readonly<Record<string, number>>;
    } = {},
  ): Map<string, number> {
    const requests = new Map<string, number>();
    const numbers = (topic: string, count: number) => {
      const first = firsts[topic] ?? (this.#sequences.get(topic) ?? 0) + 1;
      this.#sequences.set(topic, first + count - 1);
      const request = ++this.#requests + this.ref * 1_000_000;
      requests.set(topic, request);
      return { request, first };
    };
    this.wire.send({
      type: "BUNDLE",
      producer: this.handle,
      attributes: attributes ?? null,
      wanted: LEVEL.broker,
      ...bundleFields(
        records.map(([topic, number, bytes]) => [
          topic,
          recordOf(number, bytes),
        ]),
        numbers,
      ),
    });
    return requests;
  }

  /** As {@linkcode sendBundle}; waits, and gives what each topic was answered. */
  async publishBundle(
    ...args: Parameters<App["sendBundle"]>
  ): Promise<Record<string, string>> {
    const requests = this.sendBundle(...args);
    await this.world.settle();
    const answers: Record<string, string> = {};
    for (const [topic, request] of requests) {
      const answer = this.wire.answer(request);
      assert.ok(answer !== undefined, `no answer for ${topic}`);
      answers[topic] = answer.type === "ERROR" ? answer.code : answer.type;
    }
    return answers;
  }

  /** The numbers of all that was delivered to it, also in bundles, in order. */
  records(): number[] {
    return this.wire.inbox.flatMap((message) => recordsIn(message, this.ref));
  }

  /** What was delivered to it, frame by frame. */
  deliveries(): Of<"DELIVER">[] {
    return this.wire.all("DELIVER").filter(({ targets }) =>
      targets.some((ref, index) => index % 2 === 0 && ref === this.ref)
    );
  }

  /** The numbers that were delivered to it, in order. */
  numbers(): number[] {
    return this.deliveries().flatMap(({ batch }) => numbersOf(batch));
  }

  /** Acknowledges everything delivered. */
  async acknowledgeAll(kind: number = OUTCOME.delivered): Promise<void> {
    const outcomes = this.deliveries().flatMap((each) => [
      kind,
      each.logId,
      each.baseOffset,
      each.baseOffset + each.count,
    ]);
    await this.acknowledge(outcomes);
  }

  /** Sends an ACK and waits; gives its number. */
  async acknowledge(outcomes: number[]): Promise<number> {
    const number = ++this.#acks;
    this.wire.send({ type: "ACK", ref: this.ref, number, outcomes });
    await this.world.settle();
    return number;
  }

  /** Raises the total credit. */
  async credit(total: number, ref: number | null = this.ref): Promise<void> {
    this.wire.send({ type: "CREDIT", ref, total });
    await this.world.settle();
  }
}

/** An id that is never drawn. */
export const NOBODY: Uint8Array = idOf(0xffff_ffff);
