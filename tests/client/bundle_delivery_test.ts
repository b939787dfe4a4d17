import assert from "node:assert/strict";
import { type Message, type Mom, topic } from "../../daemon/client.ts";
import { joined } from "../../protocol/bundle.ts";
import type { DeliverBundle } from "../../protocol/messages.ts";
import { encodeRecord } from "../../protocol/record.ts";
import { Random } from "../helpers/random.ts";
import { type BundledRecord, ScriptedServer } from "./scripted_server.ts";

const SEED = Date.now() % 1_000_000;
/** A byte string that is no record. */
const BAD = Uint8Array.of(0x43, 0x83, 0x01, 0x02);

/** A server that knows bundles, and a handle whose window is open. */
async function open(server: ScriptedServer): Promise<Mom> {
  server.features = ["bundles"];
  const mom = await server.connect();
  await mom.receive({ timeoutMs: 0 });
  await server.next("CREDIT");
  return mom;
}

/** Records of topics in turn: `"a1 b2"` is 1 to `a`, then 2 to `b`; `a!` is none. */
function records(what: string): BundledRecord[] {
  return what.split(" ").map((each) => [
    each[0],
    each[1] === "!" ? BAD : encodeRecord(Number(each.slice(1))),
  ]);
}

/** What was received, in the same form. */
const told = (messages: readonly (Message | null)[]) =>
  messages.map((each) => `${each?.topic}${each?.value}`).join(" ");

/** Takes as many messages one by one. */
async function takeEach(mom: Mom, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  while (messages.length < count) {
    messages.push((await mom.receive({ timeoutMs: 5_000 }))!);
  }
  return messages;
}

/** Outcomes of offsets: `a0 2` is offset 0 of `a`, delivered. Each has one. */
function outcomesOf(server: ScriptedServer, topics: string): string[] {
  const seen: string[] = [];
  const names = new Map([...topics].map((name) => [server.logOf(name), name]));
  for (const message of server.heard) {
    if (message.type !== "ACK") continue;
    for (let i = 0; i < message.outcomes.length; i += 4) {
      const [kind, log, from, to] = message.outcomes.slice(i, i + 4);
      for (let offset = from; offset < to; offset++) {
        seen.push(`${names.get(log)}${offset} ${kind}`);
      }
    }
  }
  return seen.sort();
}

for (const many of [false, true]) {
  const call = many ? "receiveMany" : "receive";
  Deno.test(`${call}() hands the records of a bundle over in their order`, async () => {
    await using server = new ScriptedServer();
    const mom = await open(server);
    const what = "a1 b2 a3 c4 b5 a6 a7 c8";
    server.deliver("z", [0], { logId: server.logOf("z") });
    server.deliverBundle(records(what));
    server.deliver("z", [9], { logId: server.logOf("z") });
    const messages = many
      ? await mom.receiveMany({ max: 100 })
      : await takeEach(mom, 10);
    assert.equal(told(messages), `z0 ${what} z9`);
    const first = messages[1];
    const { ack: _, ...rest } = first;
    assert.deepEqual(rest, {
      topic: "a",
      sender: "ben@south",
      offset: 0,
      time: 1_700_000_000_000,
      headers: {},
      value: 1,
      redelivered: false,
    });
    assert.deepEqual(
      messages.slice(1, 9).map(({ offset }) => offset),
      [0, 0, 1, 0, 1, 2, 3, 1],
    );
  });

  Deno.test(`${call}() that waits is served from bundles in their order`, async () => {
    await using server = new ScriptedServer();
    const mom = await open(server);
    const waiting = many
      ? [mom.receiveMany({ max: 3 }), mom.receiveMany({ max: 3 })]
      : Array.from({ length: 6 }, () => mom.receive());
    server.deliverBundle(records("a1 b2 a3 b4 b5"));
    server.deliverBundle(records("b6 a7"));
    const messages = (await Promise.all(waiting)).flat();
    assert.equal(told(messages), "a1 b2 a3 b4 b5 b6");
    assert.equal(told([await mom.receive()]), "a7");
  });
}

Deno.test("whatever the order, receive() follows it and settles each offset once", async () => {
  const random = new Random(SEED);
  await using server = new ScriptedServer();
  const mom = await open(server);
  const expected: string[] = [];
  const outcomes: string[] = [];
  const ends = new Map<string, number>();
  for (let bundle = 0; bundle < 40; bundle++) {
    const topics = [..."abcdefgh"].slice(0, random.integer(1, 8));
    const count = random.integer(1, 60);
    const what = Array.from({ length: count }, (_, n) => {
      const name = random.pick(topics);
      const isBad = random.chance(0.1);
      const end = ends.get(name) ?? 0;
      ends.set(name, end + 1);
      outcomes.push(`${name}${end} ${isBad ? 4 : 2}`);
      if (!isBad) expected.push(`${name}${n}`);
      return isBad ? `${name}!` : `${name}${n}`;
    });
    server.deliverBundle(records(what.join(" ")));
  }
  const got: Message[] = [];
  while (got.length < expected.length) {
    if (random.chance(0.5)) {
      got.push((await mom.receive({ timeoutMs: 5_000 }))!);
    } else got.push(...await mom.receiveMany({ max: random.integer(1, 30) }));
  }
  assert.equal(told(got), expected.join(" "), `seed ${SEED}`);
  await mom.close();
  assert.deepEqual(
    outcomesOf(server, "abcdefgh"),
    outcomes.sort(),
    `seed ${SEED}`,
  );
});

Deno.test("topics that took turns are acknowledged with one range each", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  const turns = "a1 b2 c3 ".repeat(20).trim();
  server.deliverBundle(records(turns));
  assert.equal(told(await mom.receiveMany({ max: 100 })), turns);
  const { outcomes } = await server.next("ACK");
  assert.deepEqual(
    outcomes,
    ["a", "b", "c"].flatMap((name) => [2, server.logOf(name), 0, 20]),
  );
});

Deno.test("ranges of topics that took turns grow only where they go on", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  // In the middle are some that are none: what is behind them are ranges of their own.
  const [first, middle, last] = ["a1 b2 a3 b4", "a! b!", "a5 b6 a7 b8"];
  server.deliverBundle(records(`${first} ${middle} ${last}`));
  const [a, b] = [server.logOf("a"), server.logOf("b")];
  // And offsets between that are not there.
  server.deliver("a", [9], { logId: a, baseOffset: 9 });
  assert.equal(
    told(await mom.receiveMany({ max: 100 })),
    `${first} ${last} a9`,
  );
  const { outcomes } = await server.next("ACK");
  assert.deepEqual(outcomes, [
    ...[2, a, 0, 2],
    ...[2, b, 0, 2],
    ...[4, a, 2, 3],
    ...[4, b, 2, 3],
    ...[2, a, 3, 5],
    ...[2, b, 3, 5],
    ...[2, a, 9, 10],
  ]);
});

Deno.test("a record of a bundle that does not decode gives its turn to the next", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  server.deliverBundle(records("a! b1 a2 b! a3 c! b4 a!"));
  assert.equal(told(await takeEach(mom, 4)), "b1 a2 a3 b4");
  server.deliver("z", [5], { logId: server.logOf("z") });
  assert.equal(told([await mom.receive()]), "z5");
  await mom.close();
  assert.deepEqual(outcomesOf(server, "abcz"), [
    "a0 4",
    "a1 2",
    "a2 2",
    "a3 4",
    "b0 2",
    "b1 4",
    "b2 2",
    "c0 4",
    "z0 2",
  ]);
});

Deno.test("a part whose records end in the middle has no more turns, the others have theirs", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  const [one, six, eight] = [1, 6, 8].map((each) => encodeRecord(each));
  // Behind its first record a goes on with what is none.
  const a = joined([one, Uint8Array.of(0xff, 0xff, 0xff)]);
  const b = joined([six, eight]);
  const logs = [server.logOf("a"), server.logOf("b")];
  server.deliverBundle(records("a1 b6"), {
    parts: [logs[0], 0, 3, 0, a.length, logs[1], 0, 2, 0, b.length],
    order: Uint8Array.of(0, 1, 0, 0, 1),
    batch: joined([a, b]),
  });
  assert.equal(told(await takeEach(mom, 3)), "a1 b6 b8");
  await mom.close();
  assert.deepEqual(outcomesOf(server, "ab"), [
    "a0 2",
    "a1 4",
    "a2 4",
    "b0 2",
    "b1 2",
  ]);
});

const doubling = (later: boolean) => ({
  "~standard": {
    version: 1 as const,
    vendor: "test",
    validate(value: unknown) {
      const result = typeof value === "number" && value < 5
        ? { value: value * 2 }
        : { issues: [{ message: "must be below 5" }] };
      return later ? Promise.resolve(result) : result;
    },
  },
});

for (const later of [false, true]) {
  const which = later ? "an asynchronous" : "a";
  Deno.test(`${which} schema of one of its topics keeps the order of a bundle`, async () => {
    await using server = new ScriptedServer();
    const mom = await open(server);
    await mom.subscribe(topic("a", doubling(later)));
    server.deliverBundle(records("a1 b2 a9 b9 a3 c4 a! a7 b6 a4"));
    const messages = later
      ? await takeEach(mom, 7)
      : await mom.receiveMany({ max: 100 });
    assert.equal(told(messages), "a2 b2 b9 a6 c4 b6 a8");
    await mom.close();
    assert.deepEqual(outcomesOf(server, "abc"), [
      "a0 2",
      "a1 5",
      "a2 2",
      "a3 4",
      "a4 5",
      "a5 2",
      "b0 2",
      "b1 2",
      "b2 2",
      "c0 2",
    ]);
  });
}

Deno.test("a bundle whose time is up is not handed over, and settled part by part", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  server.deliverBundle(records("a1 b2 a3"), { attributes: new Map([[1, 0]]) });
  server.deliverBundle(records("b4 a5"), {
    attributes: new Map([[1, 60_000]]),
  });
  assert.equal(told(await takeEach(mom, 2)), "b4 a5");
  await mom.close();
  assert.deepEqual(outcomesOf(server, "ab"), [
    "a0 3",
    "a1 3",
    "a2 2",
    "b0 3",
    "b1 2",
  ]);
});

Deno.test("what of a bundle is left when its time is up expires, and nothing that was taken", async () => {
  await using server = new ScriptedServer();
  server.features = ["bundles"];
  let laterMs = 0;
  const clock = {
    ...server.clock,
    monotonicMs: () => server.clock.monotonicMs() + laterMs,
  };
  const mom = await server.connect({ clock });
  await mom.receive({ timeoutMs: 0 });
  await server.next("CREDIT");
  server.deliverBundle(records("a1 b2 a3 c4 b5"), {
    attributes: new Map([[1, 5_000]]),
  });
  server.deliverBundle(records("c6 a7"));
  assert.equal(told(await takeEach(mom, 2)), "a1 b2");
  laterMs = 6_000;
  assert.equal(told(await takeEach(mom, 2)), "c6 a7");
  await mom.close();
  assert.deepEqual(outcomesOf(server, "abc"), [
    "a0 2",
    "a1 3",
    "a2 2",
    "b0 2",
    "b1 3",
    "c0 3",
    "c1 2",
  ]);
});

Deno.test("what a bundle cost of the window is given back with the last record of each part", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  const big = new Uint8Array(25_000);
  const [a, b] = [encodeRecord(big), encodeRecord(big)];
  const costs = a.length + 32 + b.length + encodeRecord(1).length + 32;
  const width = 256 * 1024;
  server.deliverBundle([["b", b], ["a", a], ["b", encodeRecord(1)]]);
  assert.equal(server.count("CREDIT"), 1);
  await takeEach(mom, 3);
  // Nothing is left, so the handle says how much there is room for.
  assert.equal(await mom.receive({ timeoutMs: 0 }), null);
  const { total } = await server.next("CREDIT");
  assert.equal(total, width + costs);
  // Of a bundle that is not taken to its end, the parts that are.
  server.deliverBundle([["b", b], ["a", a], ["b", encodeRecord(1)]]);
  await takeEach(mom, 2);
  await mom.close();
  const last = server.heard.findLast((each) => each.type === "CREDIT");
  assert(last!.total <= width + costs + a.length + 32, `${last!.total}`);
});

Deno.test("all of the window comes back, whatever becomes of the records of bundles", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  await mom.subscribe(topic("c", doubling(true)));
  let costs = 0;
  const deliver = (
    what: string,
    more: Partial<DeliverBundle> = {},
  ): void => {
    const all = records(what);
    costs += all.reduce((sum, [, { length }]) => sum + length, 0) +
      32 * new Set(all.map(([name]) => name)).size;
    server.deliverBundle(all, more);
  };
  deliver("a1 b! a2 c9 b!");
  deliver("a1 b2", { attributes: new Map([[1, 0]]) });
  deliver("c1 b2 c9 a! c2");
  assert.equal(told(await takeEach(mom, 5)), "a1 a2 c2 b2 c4");
  assert.equal(await mom.receive({ timeoutMs: 0 }), null);
  await mom.receive({ timeoutMs: 20 });
  const last = server.heard.findLast((each) => each.type === "CREDIT");
  assert.equal(last!.total, 256 * 1024 + costs);
});

Deno.test("a bundle is for the users that it names, with the flags of each part", async () => {
  await using server = new ScriptedServer();
  server.suspect = 10;
  const mom = await open(server);
  const [a, b] = [server.logOf("a"), server.logOf("b")];
  const of = (flags: number[], base: number) => ({
    parts: [a, base, 1, flags[0], 3, b, base, 1, flags[1], 3].map((each, i) =>
      i % 5 === 4 ? encodeRecord(0).length : each
    ),
    position: 11,
  });
  server.deliverBundle(records("a1 b2"), { ...of([0, 0], 0), refs: [2, 3] });
  server.deliverBundle(records("b3 a4"), {
    ...of([0, 0], 0),
    refs: [2, 1],
    position: 10,
  });
  server.deliverBundle(records("a5 b6"), of([1, 2], 1));
  const messages = await takeEach(mom, 4);
  assert.deepEqual(messages.map(({ value }) => value), [3, 4, 5, 6]);
  assert.deepEqual(
    messages.map(({ redelivered }) => redelivered),
    [true, true, false, true],
  );
  // The part with bit 0 is the app's to acknowledge.
  await messages[3].ack();
  const outcomes = () =>
    server.heard.flatMap((each) => each.type === "ACK" ? [each.outcomes] : [])
      .flat();
  assert(
    !outcomes().some((each, i) =>
      i % 4 === 1 && each === a && outcomes()[i + 1] === 1
    ),
  );
  await messages[2].ack();
  assert.deepEqual(outcomes().slice(-4), [2, a, 1, 2]);
});

Deno.test("what of a bundle was not taken when the connection is lost comes again, and only that", async () => {
  await using server = new ScriptedServer();
  const mom = await open(server);
  await server.next("ATTACH");
  server.script = (message) => message.type === "ACK";
  server.deliverBundle(records("a1 b2 a3 b4"));
  assert.equal(told(await takeEach(mom, 3)), "a1 b2 a3");
  await server.next("ACK");
  server.script = (message, peer) => {
    if (message.type !== "ATTACH") return false;
    // Of the flow before: it is dropped.
    server.deliverBundle(records("a8 b9"));
    server.attached(message, peer);
    return true;
  };
  server.cut();
  const { known } = await server.next("ATTACH");
  const settled = [];
  for (let i = 0; i < known.length; i += 4) settled.push(known.slice(i, i + 4));
  assert.deepEqual(settled, [
    [2, server.logOf("a"), 0, 2],
    [2, server.logOf("b"), 0, 1],
  ]);
  assert.equal(await mom.receive({ timeoutMs: 20 }), null);
  const log = server.logOf("b");
  server.deliver("b", [4], { logId: log, baseOffset: 1 });
  assert.equal(told([await mom.receive()]), "b4");
});

/** What none may send, and why. */
const WRONG: [string, Partial<DeliverBundle>][] = [
  ["an order that names no part", { order: Uint8Array.of(0, 1, 2) }],
  ["an order of another length", { order: Uint8Array.of(0, 1) }],
  ["parts of other topics", { topics: ["a", "b", "c"] }],
  ["other bytes", { batch: new Uint8Array(7) }],
  ["more than there can be", {
    parts: [1, 0, 2, 0, 57_000, 2, 0, 1, 0, 1_000],
    batch: new Uint8Array(58_000),
  }],
  ["offsets that are none", {
    parts: [1, Number.MAX_SAFE_INTEGER, 2, 0, 8, 2, 0, 1, 0, 4],
  }],
];

for (const [what, more] of WRONG) {
  Deno.test(`a bundle with ${what} ends the connection, and the handle comes back`, async () => {
    await using server = new ScriptedServer();
    const mom = await open(server);
    await server.next("ATTACH");
    server.deliverBundle(records("a1 b2 a3"), more);
    const error = await server.next("ERROR");
    assert.deepEqual([error.code, error.request], ["bad_message", null]);
    await server.next("ATTACH");
    await mom.subscribe("attached");
    server.deliver("z", [4], { logId: server.logOf("z") });
    assert.equal(told([await mom.receive()]), "z4");
  });
}

Deno.test("bundles beyond what was granted end the connection", async () => {
  await using server = new ScriptedServer();
  server.maxMessageBytes = 1_024;
  const mom = await open(server);
  await server.next("ATTACH");
  const big = encodeRecord(new Uint8Array(50_000));
  const { peer } = server;
  for (let n = 0; n < 10 && server.peer === peer; n++) {
    server.deliverBundle([["a", encodeRecord(n)], ["b", big]]);
  }
  const error = await server.next("ERROR");
  assert.equal(error.code, "bad_message");
  await server.next("ATTACH");
  await mom.subscribe("attached");
});

Deno.test("a bundle that was not agreed on ends the connection", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  await mom.receive({ timeoutMs: 0 });
  await server.next("CREDIT");
  await server.next("ATTACH");
  server.deliverBundle(records("a1 b2"));
  const error = await server.next("ERROR");
  assert.equal(error.code, "unsupported");
  await server.next("ATTACH");
  assert.equal(await mom.receive({ timeoutMs: 0 }), null);
});
