import assert from "node:assert/strict";
import {
  fromSnapshot,
  readSnapshot,
  toSnapshot,
} from "../../coordinator/core/snapshot.ts";
import { fc } from "../../deps/fast_check.ts";
import { type Asked, Model } from "./_model.ts";
import { idOf, inShort, Shard } from "./_shard.ts";

const CLIENTS = ["a", "b", "c", "d"];

/** What happens next; a number out of range is folded into it. */
type Happening =
  & { client: string }
  & (
    | { does: "ask"; asked: Asked; isLate: boolean; isHeard: boolean }
    | { does: "repeat"; isHeard: boolean }
    | { does: "cancel" }
    | { does: "release" }
    | { does: "expire"; isStale: boolean }
    | { does: "leave" }
    | { does: "snapshot" }
  );

const client = fc.constantFrom(...CLIENTS);
const name = fc.constantFrom("s", "S", "t");
const value = fc.constantFrom(0, 1, 2, -1, 0.5, null, "x");
const plain = fc.constantFrom(0, 1, null, "x", { a: [1] });
const asked: fc.Arbitrary<Asked> = fc.oneof(
  fc.record({ op: fc.constant("semaphore_init"), name, value }),
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("semaphore_wait"),
      name,
      consume: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant("semaphore_signal"), name }),
  },
  fc.record({
    op: fc.constant("semaphore_release"),
    name,
    token: fc.integer({ min: 1, max: 9 }),
  }),
  fc.record({ op: fc.constant("semaphore_destroy"), name }),
  fc.record({ op: fc.constant("value_init"), name, value: plain }),
  fc.record({
    op: fc.constantFrom("value_read", "value_destroy"),
    name,
  }),
  fc.record({ op: fc.constant("value_write"), name, value: plain }),
  fc.record({
    op: fc.constant("value_compare_and_set"),
    name,
    expected: plain,
    value: plain,
  }),
);
const isHeard = fc.boolean();
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      does: fc.constant("ask" as const),
      client,
      asked,
      isLate: fc.integer({ min: 0, max: 15 }).map((n) => n === 0),
      isHeard,
    }),
  },
  fc.record({ does: fc.constant("repeat" as const), client, isHeard }),
  fc.record({ does: fc.constant("cancel" as const), client }),
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant("release" as const), client }),
  },
  fc.record({
    does: fc.constant("expire" as const),
    client,
    isStale: fc.boolean(),
  }),
  fc.record({ does: fc.constant("leave" as const), client }),
  fc.record({ does: fc.constant("snapshot" as const), client }),
);

/** A client, as both are asked for it. */
interface Asker {
  open: Map<number, { asked: Asked; isLate: boolean }>;
  tokens: { name: string; token: number }[];
}

class Comparison {
  readonly #shard = new Shard();
  readonly #model = new Model();
  readonly #askers = new Map<string, Asker>();

  constructor() {
    this.#shard.hello(...CLIENTS);
    for (const each of CLIENTS) {
      this.#model.hello(each);
      this.#askers.set(each, { open: new Map(), tokens: [] });
    }
  }

  happen(what: Happening): void {
    const { client } = what;
    const asker = this.#askers.get(client)!;
    switch (what.does) {
      case "ask":
        return this.#ask(client, what.asked, what.isLate, what.isHeard);
      case "repeat": {
        const [first] = asker.open;
        if (first === undefined) return;
        const [request, { asked, isLate }] = first;
        return this.#send(client, request, asked, isLate, what.isHeard);
      }
      case "cancel": {
        const first = [...asker.open].find(([, { asked }]) =>
          asked.op === "semaphore_wait"
        );
        if (first === undefined) return;
        asker.open.delete(first[0]);
        const cancel = { op: "semaphore_cancel", name: "", target: first[0] };
        return this.#ask(client, cancel, false, true);
      }
      case "release": {
        const held = asker.tokens.shift();
        if (held === undefined) return;
        return this.#ask(
          client,
          { op: "semaphore_release", ...held },
          false,
          true,
        );
      }
      case "expire": {
        const session = this.#shard.state.sessions.get(idOf(client));
        const seen = (session?.seen ?? 0) - (what.isStale ? 1 : 0);
        const got = this.#shard.put({
          v: 1,
          kind: "expire",
          client: idOf(client),
          session: 1,
          seen,
        });
        const isThere = this.#model.clients.has(client);
        const expected = isThere && !what.isStale
          ? this.#model.end(client)
          : [];
        return this.#compare(inShort(got), expected, true);
      }
      case "leave":
        return this.#ask(client, { op: "leave", name: "" }, false, true);
      case "snapshot": {
        const snapshot = readSnapshot(toSnapshot(this.#shard.state));
        assert(snapshot !== null);
        const { bytes } = this.#shard.state;
        this.#shard.state = fromSnapshot(snapshot);
        assert.equal(this.#shard.state.bytes, bytes);
      }
    }
  }

  #ask(client: string, asked: Asked, isLate: boolean, isHeard: boolean): void {
    const request = this.#shard.nextNumber(client);
    this.#askers.get(client)!.open.set(request, { asked, isLate });
    this.#send(client, request, asked, isLate, isHeard);
  }

  #send(
    client: string,
    request: number,
    asked: Asked,
    isLate: boolean,
    isHeard: boolean,
  ): void {
    const asker = this.#askers.get(client)!;
    const open = [...asker.open.keys()];
    const upTo = this.#shard.lastNumber(client);
    const { name, ...rest } = asked;
    const got = this.#shard.put({
      ...this.#shard.record(client, request, rest),
      ...name !== "" && { name },
      ...isLate && { deadline: this.#shard.time - 1 },
      open,
      upTo,
    });
    const expected = this.#model.ask(client, request, open, asked, isLate);
    this.#compare(inShort(got), expected, isHeard);
  }

  #compare(got: string[], expected: string[], isHeard: boolean): void {
    assert.deepEqual(got, expected);
    for (const line of got) {
      const [, who, request, result] = /^(.)#(\d+) (.*)$/.exec(line)!;
      const asker = this.#askers.get(who!)!;
      const open = asker.open.get(Number(request));
      if (!isHeard || open === undefined || result === "late") continue;
      asker.open.delete(Number(request));
      const { op, name } = open.asked;
      if (op === "semaphore_wait" && result!.startsWith("done ")) {
        asker.tokens.push({ name, token: Number(result!.slice(5)) });
      }
    }
    this.#compareStates();
  }

  #compareStates(): void {
    const { semaphores, values, sessions, tokens } = this.#shard.state;
    const model = this.#model;
    assert.equal(tokens, model.token);
    assert.deepEqual(
      [...semaphores.values()].map(({ name, value }) => [name, value]).sort(),
      [...model.semaphores].map(([name, { value }]) => [name, value]).sort(),
    );
    for (const { name, waiters } of semaphores.values()) {
      assert.deepEqual(
        waiters.map(({ client, request }) => [client, request]),
        model.queue.filter((wait) => wait.name === name)
          .map((wait) => [idOf(wait.client), wait.request]),
      );
    }
    assert.deepEqual([...values].sort(), [...model.values].sort());
    const held = [...sessions.values()].flatMap(({ client, permits }) =>
      [...permits.values()].map(({ token }) => `${client} ${token}`)
    );
    const expected = model.permits.map(({ client, token }) =>
      `${idOf(client)} ${token}`
    );
    assert.deepEqual(held.sort(), expected.sort());
  }
}

Deno.test("[O-19] step() does what a simple model does, in 10,000 random sequences", () => {
  fc.assert(
    fc.property(
      fc.array(happening, { maxLength: 30, size: "max" }),
      (happenings) => {
        const comparison = new Comparison();
        for (const each of happenings) comparison.happen(each);
      },
    ),
    { numRuns: 10_000 },
  );
});

Deno.test("the model notices a step that executes what comes again", () => {
  const wait = { op: "semaphore_wait", name: "s" };
  const shard = new Shard();
  const model = new Model();
  shard.hello("a");
  model.hello("a");
  const init = { op: "semaphore_init", name: "s", value: 2 };
  shard.put(shard.record("a", 10, init));
  model.ask("a", 10, [10], init, false);
  const first = model.ask("a", 11, [11], wait, false);
  assert.deepEqual(inShort(shard.put(shard.record("a", 11, wait))), first);
  // As if the answer had not been kept.
  for (const session of shard.state.sessions.values()) session.answers.clear();
  assert.notDeepEqual(
    inShort(shard.put(shard.record("a", 11, wait))),
    model.ask("a", 11, [11], wait, false),
  );
});
