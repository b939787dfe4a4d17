/** Bundles at the core: what is taken of them, in which order it is handed over. */

import assert from "node:assert/strict";
import { LEVEL, OUTCOME, TARGET_FLAG } from "../../protocol/messages.ts";
import { bundleFields, recordsInOrder } from "../helpers/bundles.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { App, type AppOptions } from "./_app.ts";
import { type BundleRecord, costIn } from "./_bundles.ts";
import { type Wire, World } from "./_world.ts";

/** Three topics in turn, of which one comes twice. */
const RECORDS: readonly BundleRecord[] = [
  ["a", 1],
  ["b", 2],
  ["a", 3],
  ["c", 4],
  ["a", 5],
  ["b", 6],
];
const RECEIPTS = { a: "RECEIPT", b: "RECEIPT", c: "RECEIPT" };

function attachUser(
  world: World,
  name: string,
  options: AppOptions & { wire?: Wire } = {},
): Promise<App> {
  const wire = options.wire ?? world.connect({ takesBundles: true });
  return App.attach(world, wire, name, options);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n + 1);
}

/** Types of the frames that delivered something. */
function frames({ wire }: App): string[] {
  return wire.inbox.map(({ type }) => type)
    .filter((type) => type.startsWith("DELIVER"));
}

/** So many numbers, one record each, to so many topics in turn. */
function inTurn(
  from: number,
  count: number,
  topics: number,
  bytes?: number,
): BundleRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const number = from + i;
    return [`t/${number % topics}`, number, bytes] as const;
  });
}

Deno.test("[P-8.12] the parts of a bundle are stored in one commit and answered one by one", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  const before = world.store.position;
  const requests = app.sendBundle(RECORDS);
  await world.settle();
  const answers = [...requests.values()].map((each) => app.wire.answer(each));
  assert.deepEqual(answers.map((each) => each?.type === "RECEIPT" && each), [
    ...answers.map((_, i) => ({
      type: "RECEIPT",
      request: [...requests.values()][i],
      level: 1,
      offset: 0,
    })),
  ]);
  const [frame, ...others] = live.wire.all("DELIVER_BUNDLE");
  assert.deepEqual(others, []);
  assert.deepEqual(frame.topics, ["a", "b", "c"]);
  assert.ok(frame.position > before);
  assert.equal(world.check().totals.published, 6);
});

Deno.test("[P-8.9] a bundle comes in the order of publishing, live and from the store", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  assert.deepEqual(await app.publishBundle(RECORDS), RECEIPTS);
  assert.deepEqual(live.records(), upTo(6));
  assert.deepEqual(frames(live), ["DELIVER_BUNDLE"]);
  const late = await attachUser(world, "cleo");
  await late.subscribe("#", { from: "earliest" });
  assert.deepEqual(late.records(), upTo(6));
  assert.deepEqual(frames(late), ["DELIVER_BUNDLE"]);
});

Deno.test("[P-6.9] who did not agree gets a bundle as batches of consecutive records, in order", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben", { wire: world.connect() });
  await live.subscribe("#");
  await app.publishBundle(RECORDS);
  await app.publishBundle([["a", 7], ["a", 8], ["b", 9]]);
  const late = await attachUser(world, "cleo", { wire: world.connect() });
  await late.subscribe("#", { from: "earliest" });
  for (const user of [live, late]) {
    assert.deepEqual(user.numbers(), upTo(9));
    const got = user.deliveries().map(({ topic, baseOffset, count }) => [
      topic,
      baseOffset,
      count,
    ]);
    assert.deepEqual(got, [
      ["a", 0, 1],
      ["b", 0, 1],
      ["a", 1, 1],
      ["c", 0, 1],
      ["a", 2, 1],
      ["b", 1, 1],
      ["a", 3, 2],
      ["b", 2, 1],
    ]);
  }
});

Deno.test("[P-6.9] who wants one topic of a bundle gets a plain batch", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("b");
  await app.publishBundle(RECORDS);
  const late = await attachUser(world, "cleo");
  await late.subscribe("b", { from: "earliest" });
  for (const user of [live, late]) {
    assert.deepEqual(user.records(), [2, 6]);
    assert.deepEqual(frames(user), ["DELIVER"]);
  }
});

Deno.test("[P-6.9] users of a session who get the same share a frame, but for their flags", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north", { takesBundles: true });
  const users: App[] = [];
  for (const [i, name] of ["a", "b", "c", "d", "e"].entries()) {
    users.push(await attachUser(world, name, { wire, ref: i + 1 }));
  }
  await users[0].subscribe("#");
  await users[1].subscribe("#");
  await users[2].subscribe("#");
  await users[2].subscribe("b", { manual: true });
  await users[3].subscribe("a");
  await users[3].subscribe("b");
  await users[4].subscribe("b");
  await users[4].subscribe("c");
  const app = await attachUser(world, "ana");
  await app.publishBundle(RECORDS);
  const all = wire.all("DELIVER_BUNDLE");
  const told = all.map(({ refs, topics, parts }) => ({
    refs: refs.toSorted(),
    topics,
    flags: topics.map((_, i) => parts[5 * i + 3]),
  })).sort((a, b) => a.refs[0] - b.refs[0]);
  assert.deepEqual(told, [
    { refs: [1, 2], topics: ["a", "b", "c"], flags: [0, 0, 0] },
    {
      refs: [3],
      topics: ["a", "b", "c"],
      flags: [0, TARGET_FLAG.manual, 0],
    },
    { refs: [4], topics: ["a", "b"], flags: [0, 0] },
    { refs: [5], topics: ["b", "c"], flags: [0, 0] },
  ]);
  assert.deepEqual(users[3].records(), [1, 2, 3, 5, 6]);
});

Deno.test("[P-6.9] a session pays for a bundle once, whatever the number of its users", async () => {
  await using world = await World.open();
  const cost = 3 * 32 + 6 * 9;
  const wire = world.connectDaemon("north", {
    takesBundles: true,
    credit: 2 * cost,
  });
  const users: App[] = [];
  for (const [i, name] of ["a", "b", "c"].entries()) {
    users.push(await attachUser(world, name, { wire, ref: i + 1 }));
    await users[i].subscribe("#");
  }
  const app = await attachUser(world, "ana");
  for (let n = 0; n < 3; n++) await app.publishBundle(RECORDS);
  const sent = wire.all("DELIVER_BUNDLE");
  assert.deepEqual(sent.map(({ refs }) => refs.length), [3, 3]);
  wire.send({ type: "CREDIT", ref: null, total: 100 * cost });
  await world.settle();
  for (const user of users) {
    assert.deepEqual(user.records(), [...upTo(6), ...upTo(6), ...upTo(6)]);
  }
});

Deno.test("[P-6.6] a bundle costs what its parts do, and waits for credit for all of it", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const cost = 3 * 32 + 6 * 9;
  const live = await attachUser(world, "ben", { credit: 2 * cost - 1 });
  await live.subscribe("#");
  await app.publishBundle(RECORDS);
  // Enough for most of it: it is not cut while it will fit.
  await app.publishBundle(RECORDS);
  assert.deepEqual(frames(live), ["DELIVER_BUNDLE"]);
  await live.credit(2 * cost);
  assert.deepEqual(frames(live), ["DELIVER_BUNDLE", "DELIVER_BUNDLE"]);
  assert.deepEqual(live.records(), [...upTo(6), ...upTo(6)]);
  await app.publishBundle(RECORDS);
  assert.equal(frames(live).length, 2);
  await live.credit(3 * cost);
  assert.equal(frames(live).length, 3);
});

for (const takesBundles of [true, false]) {
  for (const window of [41, 100, 149]) {
    const who = takesBundles ? "agreed" : "did not agree";
    Deno.test(`[P-6.6] a bundle passes a window of ${window} bytes in order, never more than granted, to who ${who}`, async () => {
      await using world = await World.open();
      const app = await attachUser(world, "ana");
      const wire = world.connect({ takesBundles });
      const user = await attachUser(world, "ben", { wire, credit: window });
      await user.subscribe("#");
      let granted = window;
      for (let n = 0; n < 3; n++) {
        await app.publishBundle(RECORDS.map(([topic, number]) => [
          topic,
          6 * n + number,
        ]));
      }
      for (let turn = 0; user.records().length < 18; turn++) {
        const spent = wire.inbox.reduce((sum, each) => sum + costIn(each), 0);
        assert.ok(spent <= granted, `${spent} of ${granted}`);
        assert.ok(turn < 18, "it stands still");
        await user.credit(granted = spent + window);
      }
      assert.deepEqual(user.records(), upTo(18));
      assert.ok(frames(user).includes("DELIVER"));
      assert.ok(takesBundles || !frames(user).includes("DELIVER_BUNDLE"));
    });
  }
}

Deno.test("[P-3.8] a bundle without its feature is refused", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana", { wire: world.connect() });
  app.sendBundle(RECORDS);
  await world.settle();
  const codes = app.wire.all("ERROR").map(({ code }) => code);
  assert.deepEqual(codes, ["unsupported"]);
  assert.equal(world.check().totals.published, 0);
});

Deno.test("[P-8.3] what is known of a bundle is skipped, and the ranks with it", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  // All of b, and the first two of a.
  await app.publish("a", [1, 3]);
  await app.publish("b", [2, 6]);
  live.wire.clear();
  const firsts = { a: 1, b: 1 };
  assert.deepEqual(await app.publishBundle(RECORDS, { firsts }), RECEIPTS);
  assert.deepEqual(live.records(), [4, 5]);
  assert.deepEqual(
    await app.publishBundle(RECORDS, { firsts: { a: 1, b: 1, c: 1 } }),
    RECEIPTS,
  );
  const late = await attachUser(world, "cleo");
  await late.subscribe("#", { from: "earliest" });
  assert.deepEqual(late.records(), [1, 3, 2, 6, 4, 5]);
  assert.equal(world.check().totals.published, 6);
});

Deno.test("[P-8.12] a bundle that is known but for one part is taken as that part", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  await app.publish("a", [1, 3, 5]);
  await app.publish("b", [2, 6]);
  const firsts = { a: 1, b: 1 };
  assert.deepEqual(await app.publishBundle(RECORDS, { firsts }), RECEIPTS);
  assert.deepEqual(live.records(), [1, 3, 5, 2, 6, 4]);
  assert.equal(frames(live).at(-1), "DELIVER");
});

Deno.test("[P-8.12] of a bundle with a part out of sequence nothing is accepted, and each part hears its own last", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  await app.publish("a", [1]);
  await app.publish("b", [2, 3]);
  await app.publish("d", [4]);
  const records: BundleRecord[] = [
    ["a", 11],
    ["b", 12],
    ["c", 13],
    ["d", 4],
  ];
  // b leaves something out; a and c follow; d is known.
  const requests = app.sendBundle(records, { firsts: { b: 9, d: 1 } });
  await world.settle();
  const answers = Object.fromEntries(
    [...requests].map(([topic, request]) => {
      const answer = app.wire.answer(request);
      if (answer?.type !== "ERROR") return [topic, answer?.type];
      return [topic, [answer.code, answer.details?.get("last")]];
    }),
  );
  assert.deepEqual(answers, {
    a: ["out_of_sequence", 1],
    b: ["out_of_sequence", 2],
    c: ["out_of_sequence", 0],
    d: "RECEIPT",
  });
  assert.equal(world.check().totals.published, 4);
});

Deno.test("[P-8.12] a part that is refused for good does not stop the others", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  const { epoch } = world.check().store;
  const records: BundleRecord[] = [
    ["a", 1],
    ["x y", 2],
    ["b", 3],
    ["a", 4],
    ["$mom/x", 5],
  ];
  assert.deepEqual(await app.publishBundle(records), {
    "a": "RECEIPT",
    "x y": "topic_invalid",
    "b": "RECEIPT",
    "$mom/x": "topic_invalid",
  });
  assert.deepEqual(live.records(), [1, 3, 4]);
  const late = await attachUser(world, "cleo");
  await late.subscribe("#", { from: "earliest" });
  assert.deepEqual(late.records(), [1, 3, 4]);
  const attributes = new Map([[10, epoch + 1]]);
  assert.deepEqual(
    await app.publishBundle([["a", 6], ["b", 7]], { attributes }),
    {
      a: "store_replaced",
      b: "store_replaced",
    },
  );
});

Deno.test("[P-8.12] a bundle with a record of more than 32 KiB is refused as a whole", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  app.sendBundle([["a", 1], ["b", 2, 32 * 1024 + 1]]);
  await world.settle();
  const [{ code, request }] = app.wire.all("ERROR");
  assert.deepEqual([code, request], ["bad_message", null]);
  assert.equal(world.check().totals.published, 0);
  const firsts = { a: 1, b: 1 };
  assert.deepEqual(
    await app.publishBundle([["a", 1], ["b", 2, 32 * 1024]], { firsts }),
    { a: "RECEIPT", b: "RECEIPT" },
  );
});

Deno.test("[P-8.9] a bundle waits behind a large record of its producer and keeps the order", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  app.send("b", [1], { bytes: 300_000 });
  app.sendBundle([["a", 2], ["b", 3], ["a", 4]]);
  app.send("c", [5]);
  app.send("a", [6], { bytes: 300_000 });
  app.sendBundle([["c", 7], ["a", 8], ["c", 9]]);
  await world.settle();
  assert.deepEqual(live.records(), upTo(9));
  const late = await attachUser(world, "cleo");
  await late.subscribe("#", { from: "earliest" });
  assert.deepEqual(late.records(), upTo(9));
});

Deno.test("[P-8.8] without room the fresh parts are refused, and what has begun is finished", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  await app.publish("a", [1]);
  Object.assign(world.store, { canAppend: () => false });
  const firsts = { a: 1 };
  assert.deepEqual(await app.publishBundle(RECORDS, { firsts }), {
    a: "RECEIPT",
    b: "storage_full",
    c: "storage_full",
  });
  assert.deepEqual(live.records(), [1, 3, 5]);
});

Deno.test("[P-8.6] own parts of a bundle are settled as own, live and from the store", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  await app.subscribe("#");
  await app.subscribe("b", { echo: true });
  await app.subscribe("c", { echo: true });
  await app.publishBundle(RECORDS);
  assert.deepEqual(app.records(), [2, 4, 6]);
  // Behind something of another's that is open, they are not settled when stored.
  const other = await attachUser(world, "ben");
  await app.attachAgain({ create: false, credit: 0 });
  app.wire.clear();
  await other.publish("a", [7]);
  await app.publishBundle(RECORDS.map(([topic, n]) => [topic, 10 + n]));
  assert.equal(world.check().totals.own, 3);
  await app.credit(100_000);
  assert.deepEqual(app.records(), [2, 4, 6, 7, 12, 14, 16]);
  assert.equal(world.check().totals.own, 6);
});

Deno.test("what has expired of a bundle is counted and not delivered", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const reader = await attachUser(world, "ben", { credit: 0 });
  await reader.subscribe("#");
  const attributes = new Map<number, unknown>([[1, 100], [5, "t"]]);
  await app.publishBundle(RECORDS, { attributes });
  world.time.nowMs += 40;
  await reader.credit(200);
  const [frame] = reader.wire.all("DELIVER_BUNDLE");
  assert.deepEqual(
    frame.attributes,
    new Map<number, unknown>([[5, "t"], [1, 60]]),
  );
  await app.publishBundle(RECORDS, { attributes });
  world.time.nowMs += 100;
  await reader.credit(10_000);
  assert.equal(frames(reader).length, 1);
  await app.publishBundle(RECORDS, { attributes: new Map([[1, 0]]) });
  assert.equal(frames(reader).length, 1);
  assert.equal(world.check().totals.expired, 12);
});

Deno.test("two bundles of a producer in one commit are not mixed", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  app.sendBundle(RECORDS);
  app.send("b", [7]);
  app.sendBundle([["b", 8], ["a", 9], ["b", 10]]);
  app.sendBundle([["b", 11], ["a", 12], ["b", 13]]);
  await world.settle();
  const positions = live.wire.inbox.flatMap((each) =>
    "position" in each ? [each.position] : []
  );
  assert.equal(new Set(positions).size, 1, "not one commit");
  assert.deepEqual(live.records(), upTo(13));
  const late = await attachUser(world, "cleo");
  await late.subscribe("#", { from: "earliest" });
  assert.deepEqual(late.records(), upTo(13));
  assert.deepEqual(frames(late), [
    "DELIVER_BUNDLE",
    "DELIVER",
    "DELIVER_BUNDLE",
    "DELIVER_BUNDLE",
  ]);
});

Deno.test("a part that is more than an item keeps its place", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const live = await attachUser(world, "ben");
  await live.subscribe("#");
  // With the places of so many small records it does not fit one item.
  const records: BundleRecord[] = [["b", 1]];
  for (let n = 2; n <= 6_300; n++) records.push(["a", n]);
  records.push(["b", 6_301], ["a", 6_302]);
  assert.deepEqual(await app.publishBundle(records), {
    a: "RECEIPT",
    b: "RECEIPT",
  });
  assert.deepEqual(live.records(), upTo(6_302));
  const late = await attachUser(world, "cleo", { wire: world.connect() });
  await late.subscribe("#", { from: "earliest" });
  assert.deepEqual(late.records(), upTo(6_302));
  const narrow = await attachUser(world, "dora", { credit: 5_000 });
  await narrow.subscribe("#", { from: "earliest" });
  for (let spent = 0; narrow.records().length < 6_302;) {
    const before = spent;
    spent = narrow.wire.inbox.reduce((sum, each) => sum + costIn(each), 0);
    assert.ok(spent > before, "it stands still");
    await narrow.credit(spent + 5_000);
  }
  assert.deepEqual(narrow.records(), upTo(6_302));
});

Deno.test("a part of very many small records is cut into items, each with its places", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const COUNT = 28_000;
  const records = Array.from({ length: COUNT }, (_, n) => {
    const topic = n % 9_000 === 5 ? "b" : "a";
    return [topic, new Uint8Array([0x41, n % 251])] as const;
  });
  app.wire.send({
    type: "BUNDLE",
    producer: app.handle,
    attributes: null,
    wanted: LEVEL.broker,
    ...bundleFields(records, (topic) => ({
      request: topic.charCodeAt(0),
      first: 1,
    })),
  });
  await world.settle();
  assert.equal(app.wire.all("RECEIPT").length, 2);
  const late = await attachUser(world, "ben");
  await late.subscribe("#", { from: "earliest" });
  const [frame] = late.wire.all("DELIVER_BUNDLE");
  assert.deepEqual(frame.topics, ["a", "a", "a", "b"]);
  const got = recordsInOrder(frame).map(([topic, [number]]) =>
    `${topic}${number}`
  );
  const sent = records.map(([topic, [, number]]) => `${topic}${number}`);
  assert.deepEqual(got, sent);
});

Deno.test("[P-8.9] reads that end within a bundle keep the order", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const TOPICS = 100;
  const BUNDLES = 80;
  const all: { topic: number; number: number }[] = [];
  for (let n = 0; n < BUNDLES; n++) {
    // Twenty topics in turn, again and again: a part of it alone is out of order.
    for (let i = 0; i < 60; i++) {
      all.push({ topic: (13 * n + i % 20) % TOPICS, number: all.length + 1 });
    }
    app.sendBundle(
      all.slice(-60).map(({ topic, number }) => [`t/${topic}`, number, 700]),
    );
    if (n % 7 === 0) await world.settle();
  }
  await world.settle();
  const third = all.filter(({ topic }) => topic % 3 === 0);
  const read = async (
    name: string,
    filters: readonly string[],
    takesBundles: boolean,
    window: number,
  ) => {
    const wire = world.connect({ takesBundles });
    const user = await attachUser(world, name, { wire, credit: 0 });
    for (const filter of filters) {
      await user.subscribe(filter, { from: "earliest" });
    }
    let spent = 0;
    let before = -1;
    while (spent > before) {
      before = spent;
      await user.credit(spent + window);
      spent = wire.inbox.reduce((sum, each) => sum + costIn(each), 0);
      assert.ok(spent <= before + window, `${spent - before} of ${window}`);
    }
    return user.records();
  };
  const thirds: string[] = [];
  for (let t = 0; t < TOPICS; t += 3) thirds.push(`t/${t}`);
  for (const [i, window] of [1 << 30, 300_000, 20_000].entries()) {
    for (const takesBundles of [true, false]) {
      const name = `${takesBundles ? "y" : "n"}${i}`;
      const every = await read(`${name}-all`, ["#"], takesBundles, window);
      assert.deepEqual(every, all.map(({ number }) => number));
      const some = await read(`${name}-3`, thirds, takesBundles, window);
      assert.deepEqual(some, third.map(({ number }) => number));
    }
  }
});

Deno.test("[P-8.9] who reads while bundles come gets them in order", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const reader = await attachUser(world, "ben", { credit: 30_000 });
  await reader.subscribe("#");
  let granted = 30_000;
  reader.wire.onMessage = (message) => {
    if (costIn(message) === 0) return;
    granted += costIn(message);
    queueMicrotask(() =>
      reader.wire.send({ type: "CREDIT", ref: 1, total: granted })
    );
  };
  for (let n = 0; n < 300; n++) {
    app.sendBundle(inTurn(n * 20 + 1, 20, 7, 9 + (n % 5) * 400));
    if (n % 3 === 0) await Promise.resolve();
    if (n % 31 === 0) await world.store.committed();
  }
  await world.settle();
  assert.deepEqual(reader.records(), upTo(6_000));
});

Deno.test("a store that is opened again still delivers bundles in order", async () => {
  await using folder = await TempFolder.make();
  {
    await using world = await World.open({ data: folder.path });
    const app = await attachUser(world, "ana");
    const reader = await attachUser(world, "ben", { credit: 41 });
    await reader.subscribe("#");
    await app.publishBundle(RECORDS);
    assert.deepEqual(reader.records(), [1]);
  }
  await using world = await World.open({ data: folder.path });
  // The first bundle after a start is none of those before it.
  const app = await attachUser(world, "ana");
  await app.publishBundle(RECORDS.map(([topic, n]) => [topic, 6 + n]));
  const reader = await attachUser(world, "ben");
  assert.deepEqual(reader.records(), upTo(12));
  assert.equal(frames(reader).at(-1), "DELIVER_BUNDLE");
});

Deno.test("what is settled of a bundle in the middle does not come again, the rest in order", async () => {
  await using world = await World.open();
  const app = await attachUser(world, "ana");
  const reader = await attachUser(world, "ben");
  await reader.subscribe("#");
  await app.publishBundle(RECORDS);
  const [frame] = reader.wire.all("DELIVER_BUNDLE");
  const logA = frame.parts[0];
  await reader.acknowledge([OUTCOME.delivered, logA, 1, 2]);
  reader.wire.clear();
  await reader.attachAgain({ create: false });
  assert.deepEqual(reader.records(), [1, 2, 4, 5, 6]);
  assert.deepEqual(frames(reader), ["DELIVER_BUNDLE"]);
});
