/**
 * The core against a simple model: random users, filters, publishes,
 * acknowledgements, lost connections, dying handles, restarts and crashes of the
 * broker. After each step the sums hold; at the end everybody has had exactly what
 * its subscriptions claim.
 *
 * `MOM_CORE_RUNS` sets the number of runs; a failure prints its seed, which
 * `MOM_CORE_SEED` repeats.
 */

import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import type { Message } from "../../protocol/messages.ts";
import { matches } from "../../protocol/topics.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { numbersOf } from "./_records.ts";
import { type Fates, freshId, noFates, SimHandle } from "./_sim_handle.ts";
import { type Wire, World } from "./_world.ts";

const TOPICS = ["a/1", "a/2", "b"] as const;
const FILTERS = ["a/1", "a/+", "#", "b", "a/#"] as const;
const FROMS = ["now", "now", "earliest", "last"] as const;

/** A subscription as the model sees it: what it claims, by topic. */
interface Claim {
  readonly filter: string;
  readonly echo: boolean;
  readonly begins: ReadonlyMap<string, number>;
  ends: ReadonlyMap<string, number> | null;
}

interface SimUser {
  handle: SimHandle;
  claims: Claim[];
}

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("attach"),
      n: fc.nat(5),
      credit: fc.constantFrom(0, 60, 500, 100_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("cut", "die", "detach"),
      n: fc.nat(5),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("subscribe"),
      n: fc.nat(5),
      filter: fc.constantFrom(...FILTERS),
      from: fc.constantFrom(...FROMS),
      echo: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("unsubscribe"),
      n: fc.nat(5),
      filter: fc.constantFrom(...FILTERS),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish"),
      n: fc.nat(5),
      topic: fc.constantFrom(...TOPICS),
      count: fc.integer({ min: 1, max: 5 }),
      bytes: fc.constantFrom(9, 9, 100, 20_000, 70_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("bundle"),
      n: fc.nat(5),
      topics: fc.array(fc.constantFrom(...TOPICS), {
        minLength: 2,
        maxLength: 9,
      }),
      bytes: fc.constantFrom(9, 9, 100, 5_000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("take", "custody", "takeCustody"),
      n: fc.nat(5),
      count: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("grant"),
      n: fc.nat(5),
      bytes: fc.constantFrom(50, 1_000, 200_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("settle") }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("restart", "crash", "destroy"),
      n: fc.nat(5),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One of the users did not agree. */
function takesBundles({ name }: SimHandle): boolean {
  return name !== "u1";
}

class Simulation {
  readonly #folder: string;
  #world!: World;
  readonly #users: SimUser[] = [];
  /** The daemon of users 3 to 5. */
  #daemonWire: Wire | null = null;
  #daemonHandle = freshId();
  #nextNumber = 1;
  #requests = 1_000_000;
  /** Numbers by publisher and topic, in order; all that ever got a receipt. */
  readonly #published = new Map<string, number[]>();
  /** By the fates of the user: a later one of the name is another. */
  readonly #senders = new Map<number, Fates>();
  readonly #receipted = new Set<number>();

  constructor(folder: string) {
    this.#folder = folder;
    for (let n = 0; n < 6; n++) this.#users.push(this.#newUser(n));
  }

  async run(steps: readonly Step[]): Promise<void> {
    this.#world = await World.open({ data: this.#folder });
    try {
      for (const { handle } of this.#users) this.#attach(handle, 500);
      for (const each of steps) {
        await this.#step(each);
        this.#world.check();
      }
      await this.#drain();
      await this.#judge();
    } finally {
      await this.#world[Symbol.asyncDispose]();
    }
  }

  #newUser(n: number): SimUser {
    const isDaemon = n >= 3;
    const handle = new SimHandle({
      name: `u${n}`,
      ref: isDaemon ? n : 1,
      isDaemon,
      handle: isDaemon ? this.#daemonHandle : freshId(),
      incarnation: freshId(),
      fates: noFates(),
    });
    return { handle, claims: [] };
  }

  async #step(one: Step): Promise<void> {
    if (one.do === "settle") return await this.#settle();
    if (one.do === "restart" || one.do === "crash") {
      return await this.#restart(one.do === "crash");
    }
    const user = this.#users["n" in one ? one.n : 0];
    const { handle } = user;
    switch (one.do) {
      case "attach":
        // Attached already: its flow starts anew.
        return handle.wire === null
          ? this.#attach(handle, one.credit)
          : handle.attach(handle.wire, one.credit);
      case "cut":
        return this.#cut(handle);
      case "die":
        return this.#die(user);
      case "detach":
        return await this.#detach(user);
      case "subscribe":
        return await this.#subscribe(user, one);
      case "unsubscribe":
        return await this.#unsubscribe(user, one.filter);
      case "publish":
        return this.#publish(
          handle,
          Array.from({ length: one.count }, () => one.topic),
          one.bytes,
        );
      case "bundle":
        return this.#publishBundle(handle, one.topics, one.bytes);
      case "take":
        return handle.take(one.count, false);
      case "custody":
        return handle.take(one.count, handle.isDaemon);
      case "takeCustody":
        return handle.takeCustody(one.count);
      case "grant":
        return handle.grant(one.bytes);
      case "destroy":
        return await this.#destroy(one.n);
    }
  }

  #attach(handle: SimHandle, credit: number): void {
    handle.attach(this.#wireFor(handle), credit);
  }

  #wireFor(handle: SimHandle): Wire {
    if (!handle.isDaemon) {
      const wire = this.#world.connect({ takesBundles: takesBundles(handle) });
      wire.onMessage = (message) => this.#receive([handle], message);
      return wire;
    }
    if (this.#daemonWire === null) {
      const wire = this.#world.connectDaemon("north", { takesBundles: true });
      wire.onMessage = (message) =>
        this.#receive(this.#onDaemon().map((each) => each.handle), message);
      this.#daemonWire = wire;
    }
    return this.#daemonWire;
  }

  #onDaemon(): SimUser[] {
    return this.#users.filter(({ handle }) => handle.isDaemon);
  }

  #receive(handles: readonly SimHandle[], message: Message): void {
    switch (message.type) {
      case "ATTACHED":
      case "DELIVER":
      case "DELIVER_BUNDLE":
      case "CONFIRM":
      case "RECEIPT": {
        const takers = handles.filter((each) => each.receive(message));
        if (message.type !== "RECEIPT") return;
        for (const { receipted } of takers) {
          for (const number of receipted.splice(0)) this.#receipted.add(number);
        }
        return;
      }
      case "OK":
        return;
      default:
        assert.fail(`unexpected ${JSON.stringify(message)}`);
    }
  }

  #cut(handle: SimHandle): void {
    if (handle.isDaemon) return this.#cutDaemon();
    handle.wire?.cut();
    handle.disconnected();
  }

  #cutDaemon(): void {
    this.#daemonWire?.cut();
    this.#daemonWire = null;
    for (const { handle } of this.#onDaemon()) handle.disconnected();
  }

  #die(user: SimUser): void {
    this.#cut(user.handle);
    if (!user.handle.isDaemon) {
      user.handle.die();
      user.handle = user.handle.successor(freshId());
      return;
    }
    this.#daemonHandle = freshId();
    for (const each of this.#onDaemon()) {
      each.handle.die();
      each.handle = each.handle.successor(this.#daemonHandle);
    }
  }

  /** An app leaves in good order: it waits for its answers first. */
  async #detach(user: SimUser): Promise<void> {
    const { handle } = user;
    if (handle.isDaemon || !await this.#isReady(handle)) return;
    const request = this.#requests++;
    const wire = handle.wire!;
    wire.send({ type: "DETACH", request, ref: handle.ref });
    await this.#settle();
    assert.equal(wire.answer(request)?.type, "OK");
    this.#cut(handle);
    user.handle = handle.successor(freshId());
  }

  /** Whether it is attached and nothing is under way. */
  async #isReady(handle: SimHandle): Promise<boolean> {
    if (handle.wire === null) return false;
    await this.#settle();
    return handle.isAttached && handle.isQuiet;
  }

  async #subscribe(
    user: SimUser,
    wish: { filter: string; from: "now" | "earliest" | "last"; echo: boolean },
  ): Promise<void> {
    const { handle } = user;
    if (!handle.isAttached) return;
    const active = user.claims.some((claim) =>
      claim.ends === null && claim.filter === wish.filter
    );
    if (active) return;
    // What earlier subscriptions claimed may come again then, or not.
    if (wish.from !== "now" && user.claims.length > 0) {
      handle.fates.mayReplay = true;
    }
    if (wish.from !== "now") handle.mayReorder = true;
    const begins = new Map<string, number>();
    for (const { topic, begin, end } of this.#ends()) {
      if (!matches(wish.filter, topic)) continue;
      begins.set(
        topic,
        { now: end, earliest: begin, last: Math.max(begin, end - 1) }[
          wish.from
        ],
      );
    }
    const { filter, from, echo } = wish;
    user.claims.push({ filter, echo, begins, ends: null });
    await this.#request(handle, {
      type: "SUBSCRIBE",
      request: 0,
      ref: handle.ref,
      filter,
      from,
      fromValue: 0,
      manual: false,
      echo,
    });
  }

  async #unsubscribe(user: SimUser, filter: string): Promise<void> {
    const { handle } = user;
    const claim = user.claims.find((each) =>
      each.ends === null && each.filter === filter
    );
    if (claim === undefined || !handle.isAttached) return;
    claim.ends = new Map(this.#ends().map(({ topic, end }) => [topic, end]));
    const { ref } = handle;
    const message = { type: "UNSUBSCRIBE" as const, request: 0, ref, filter };
    await this.#request(handle, message);
  }

  async #destroy(n: number): Promise<void> {
    const { handle } = this.#users[n];
    if (!await this.#isReady(handle)) return;
    const { name, incarnation } = handle;
    await this.#request(handle, {
      type: "DESTROY",
      request: 0,
      name,
      incarnation,
    });
    if (handle.isDaemon) handle.disconnected();
    else this.#cut(handle);
    this.#users[n] = this.#newUser(n);
  }

  async #request(
    handle: SimHandle,
    message: Message & { request: number },
  ): Promise<void> {
    const request = this.#requests++;
    const wire = handle.wire!;
    wire.send({ ...message, request } as Message);
    await this.#settle();
    assert.equal(wire.answer(request)?.type, "OK");
  }

  /** Who takes no bundles publishes a batch for each record. */
  #publishBundle(
    handle: SimHandle,
    topics: readonly string[],
    bytes: number,
  ): void {
    if (takesBundles(handle)) return this.#publish(handle, topics, bytes);
    for (const topic of topics) this.#publish(handle, [topic], bytes);
  }

  /** Publishes a number to each of these topics. */
  #publish(handle: SimHandle, topics: readonly string[], bytes: number): void {
    if (handle.wire === null) return;
    const records = topics.map((topic) => [topic, this.#nextNumber++] as const);
    for (const [topic, number] of records) {
      const publisher = `${handle.producer.toHex()} ${topic}`;
      const before = this.#published.get(publisher) ?? [];
      this.#published.set(publisher, [...before, number]);
      this.#senders.set(number, handle.fates);
    }
    handle.publish(records, bytes);
  }

  async #restart(isCrash: boolean): Promise<void> {
    if (isCrash) {
      // Something may be on its way to the disk, or not.
      await this.#world.crash();
    } else await this.#world[Symbol.asyncDispose]();
    for (const { handle } of this.#users) handle.disconnected();
    this.#daemonWire = null;
    this.#world = await World.open({ data: this.#folder });
  }

  async #settle(): Promise<void> {
    await this.#world.settle();
  }

  #ends(): { topic: string; begin: number; end: number }[] {
    return this.#world.check().topics.map((row) => ({
      topic: row.topic,
      begin: row.trimmed,
      end: row.published,
    }));
  }

  /** Everybody takes everything. */
  async #drain(): Promise<void> {
    await this.#settle();
    for (const { handle } of this.#users) {
      if (handle.wire === null) this.#attach(handle, 0);
    }
    await this.#settle();
    for (const { handle } of this.#users) handle.grantAll();
    await this.#settle();
    for (const { handle } of this.#users) {
      handle.take(Infinity, false);
      handle.takeCustody(Infinity);
    }
    await this.#settle();
    for (const { handle } of this.#users) {
      assert.ok(handle.isQuiet, `${handle.name} waits for an answer`);
      assert.equal(handle.buffer.length, 0);
    }
    const { subscriptions, totals } = this.#world.check();
    assert.deepEqual(subscriptions.filter(({ pending }) => pending > 0), []);
    assert.equal(totals.pending, 0);
  }

  async #judge(): Promise<void> {
    const logs = await this.#readLogs();
    this.#judgeLogs(logs);
    for (const user of this.#users) this.#judgeUser(user, logs);
  }

  /** All that is stored, by topic. */
  async #readLogs(): Promise<Map<string, number[]>> {
    const { store, core } = this.#world;
    const logs = new Map<string, number[]>();
    for (const log of store.logs()) {
      const numbers: number[] = [];
      while (numbers.length < store.end(log)) {
        const wants = [{ log, next: numbers.length }];
        for (const item of await store.readInOrder(wants, 1 << 20)) {
          assert.ok(!("damaged" in item));
          const body = item.blob === null
            ? item.body
            : await store.readBlob(item.blob);
          numbers.push(...numbersOf(body));
        }
      }
      const topic = core.topicOfLog(log);
      assert.ok(topic !== null);
      logs.set(topic, numbers);
    }
    return logs;
  }

  #judgeLogs(logs: ReadonlyMap<string, number[]>): void {
    const stored = new Set<number>();
    for (const number of [...logs.values()].flat()) {
      assert.ok(!stored.has(number), `${number} is stored twice`);
      stored.add(number);
    }
    for (const number of this.#receipted) {
      assert.ok(stored.has(number), `${number} has a receipt and is lost`);
    }
    for (const [publisher, numbers] of this.#published) {
      const log = logs.get(publisher.split(" ")[1]) ?? [];
      const mine = new Set(numbers);
      const order = log.filter((number) => mine.has(number));
      assert.deepEqual(order, order.toSorted((a, b) => a - b));
      // A batch may be cut off by a death, never have a hole.
      assert.deepEqual(order, numbers.slice(0, order.length));
    }
  }

  #judgeUser(user: SimUser, logs: ReadonlyMap<string, number[]>): void {
    const { name, fates } = user.handle;
    const expected = new Set<number>();
    for (const [topic, numbers] of logs) {
      for (const [offset, number] of numbers.entries()) {
        const claims = user.claims.filter((claim) =>
          isClaimed(claim, topic, offset)
        );
        const isOwn = this.#senders.get(number) === fates;
        if (isOwn ? claims.some(({ echo }) => echo) : claims.length > 0) {
          expected.add(number);
        }
      }
    }
    const taken = new Set(fates.numbers);
    for (const number of expected) {
      // What was settled as its own stays so when a wish for echoes comes later.
      const wasOwn = this.#senders.get(number) === fates && fates.mayReplay;
      if (wasOwn) continue;
      assert.ok(taken.has(number), `${name} never got ${number}`);
    }
    for (const number of taken) {
      assert.ok(expected.has(number), `${name} got ${number} without a claim`);
    }
  }
}

function isClaimed(claim: Claim, topic: string, offset: number): boolean {
  if (!matches(claim.filter, topic)) return false;
  if (offset < (claim.begins.get(topic) ?? 0)) return false;
  // A topic that came after the end is not in the list.
  return claim.ends === null || offset < (claim.ends.get(topic) ?? 0);
}

/**
 * What once broke. A connection is cut while a large record of a new producer is
 * being written, and another record waits behind it; the handle says both again.
 */
const REGRESSIONS: Step[][] = [
  [
    { do: "publish", n: 0, topic: "a/1", count: 1, bytes: 70_000 },
    { do: "publish", n: 0, topic: "a/2", count: 1, bytes: 9 },
    { do: "cut", n: 0 },
    { do: "subscribe", n: 0, filter: "a/1", from: "now", echo: false },
    { do: "attach", n: 0, credit: 0 },
    { do: "grant", n: 0, bytes: 50 },
    { do: "publish", n: 0, topic: "a/1", count: 1, bytes: 9 },
    { do: "restart", n: 0 },
  ],
];

Deno.test("the core keeps its promises whatever comes", async () => {
  const seed = Deno.env.get("MOM_CORE_SEED");
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 80, size: "max" }),
      async (steps) => {
        await using folder = await TempFolder.make();
        await new Simulation(folder.path).run(steps);
      },
    ),
    {
      numRuns: Number(Deno.env.get("MOM_CORE_RUNS") ?? "40"),
      seed: seed === undefined ? undefined : Number(seed),
      examples: REGRESSIONS.map((steps): [Step[]] => [steps]),
    },
  );
});
