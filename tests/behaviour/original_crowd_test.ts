/**
 * Rows 12 and 16 of the original's behaviour: many users, and all at once.
 */
import assert from "node:assert/strict";
import type { Mom } from "../../mod.ts";
import { range, take, takesNothing } from "../helpers/expect.ts";
import { Random } from "../helpers/random.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";

Deno.test("[O-12] 200 users on three daemons get each their own messages and no others", async () => {
  const machines = ["north", "south", "west"];
  await using cluster = await Cluster.start({ machines });
  await using guests = new Guests(cluster);
  const each = 10;
  const users = await Promise.all(
    range(200).map(async (number) => {
      const user = await guests.connect(machines[number % 3], `user-${number}`);
      await user.subscribe(`for/${number}`);
      return user;
    }),
  );
  // Everybody writes to who is seven places further, mostly on other machines.
  await Promise.all(users.map((user, number) => {
    const to = (number + 7) % users.length;
    return user.publishMany(`for/${to}`, range(each).map((n) => `${to}:${n}`));
  }));
  await Promise.all(users.map(async (user, number) => {
    const messages = await take(user, each, 20_000);
    assert.deepEqual(
      messages.map((message) => message.value),
      range(each).map((index) => `${number}:${index}`),
    );
  }));
  await Promise.all(users.slice(0, 20).map((user) => takesNothing(user)));
});

/** When a call began and ended, in the order of the test's own clock. */
interface Span {
  began: number;
  ended: number;
}

/** Who is sure to have been subscribed when. */
interface Membership {
  joined: Span;
  left: Span | null;
}

Deno.test("[O-16] subscribing, unsubscribing and publishing at once ends as a model says", async () => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  await using guests = new Guests(cluster);
  const clock = { now: 0 };
  const readers = await Promise.all(
    range(6).map(async (number) =>
      new FickleReader(
        await guests.connect(number % 2 ? "north" : "south", `r${number}`),
        random.fork(),
        clock,
      )
    ),
  );
  const writer = await guests.connect("north", "writer");
  const published: Span[] = [];
  const ends = readers.map((reader) => reader.run(40));
  for (let index = 0; index < 300; index++) {
    const began = clock.now++;
    await writer.publish("t", index, { level: "broker" });
    published.push({ began, ended: clock.now++ });
  }
  await Promise.all(ends);
  for (const reader of readers) await reader.check(published, seed);
});

/** Joins and leaves at random, and knows what it must and must not have got. */
class FickleReader {
  readonly #mom: Mom;
  readonly #random: Random;
  readonly #clock: { now: number };
  readonly #memberships: Membership[] = [];

  constructor(mom: Mom, random: Random, clock: { now: number }) {
    this.#mom = mom;
    this.#random = random;
    this.#clock = clock;
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const current = this.#memberships.at(-1);
      const isIn = current !== undefined && current.left === null;
      if (this.#random.chance(0.5)) await this.#join(isIn);
      else await this.#leave(isIn ? current : null);
    }
  }

  async #join(isIn: boolean): Promise<void> {
    const { code, span } = await this.#time(this.#mom.subscribe("t"));
    assert.equal(code, isIn ? "already_subscribed" : null);
    if (!isIn) this.#memberships.push({ joined: span, left: null });
  }

  async #leave(current: Membership | null): Promise<void> {
    const { code, span } = await this.#time(this.#mom.unsubscribe("t"));
    assert.equal(code, current === null ? "not_subscribed" : null);
    if (current !== null) current.left = span;
  }

  async #time(
    call: Promise<unknown>,
  ): Promise<{ code: string | null; span: Span }> {
    const began = this.#clock.now++;
    const code = await call.then(() => null, (error) => error.code ?? error);
    return { code, span: { began, ended: this.#clock.now++ } };
  }

  /** Compares what came with what the memberships allow. */
  async check(published: readonly Span[], seed: number): Promise<void> {
    const got: number[] = [];
    while (true) {
      const messages = await this.#mom.receiveMany({ timeoutMs: 300 });
      if (messages.length === 0) break;
      got.push(...messages.map((message) => message.value as number));
    }
    const name = `${this.#mom.user}, seed ${seed}`;
    assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b), name);
    published.forEach((span, index) => {
      const must = this.#memberships.some((one) => surelyIn(one, span));
      const may = this.#memberships.some((one) => possiblyIn(one, span));
      if (must) assert.ok(got.includes(index), `${name} missed ${index}`);
      if (!may) assert.ok(!got.includes(index), `${name} got ${index}`);
    });
  }
}

function surelyIn({ joined, left }: Membership, span: Span): boolean {
  return joined.ended < span.began &&
    (left === null || span.ended < left.began);
}

function possiblyIn({ joined, left }: Membership, span: Span): boolean {
  return joined.began < span.ended &&
    (left === null || span.began < left.ended);
}
