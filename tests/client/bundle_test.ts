import assert from "node:assert/strict";
import type { Mom, PublishOptions, Receipt } from "../../daemon/client.ts";
import { bundlePartBytes, publishesOf } from "../../protocol/bundle.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import { frameBytesMax, LIMITS } from "../../protocol/limits.ts";
import { LEVEL, type Publish } from "../../protocol/messages.ts";
import { eventually } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import { BundleStore } from "./bundle_store.ts";
import { isPublishing, partsOf, recordsOf, recordsOfAll } from "./bundles.ts";
import { rejectionCode, ScriptedServer } from "./scripted_server.ts";

const SEED = Date.now() % 1_000_000;

/** A server that knows bundles. */
function bundling(): ScriptedServer {
  const server = new ScriptedServer();
  server.features = ["bundles"];
  return server;
}

/** Types of what was published, in order. */
const types = (server: ScriptedServer) =>
  server.heard.filter(isPublishing).map(({ type }) => type);

/** What was sent so far that carries records. */
const sentBy = (server: ScriptedServer) => server.heard.filter(isPublishing);

/** A value whose record, with its head, has so many bytes: more than 300. */
const valueOf = (bytes: number) => new Uint8Array(bytes - 8);

/** Topic and value of each record that left, in order. */
const leftOf = (server: ScriptedServer) =>
  recordsOfAll(server.heard).map(({ topic, value }) => [topic, value]);

Deno.test("publishes to topics in turn leave as one bundle in their order, with a receipt each", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const receipts = await Promise.all([
    mom.publish("a", 1),
    mom.publish("b", 2),
    mom.publish("a", 3),
    mom.publish("c", 4),
    mom.publish("b", 5),
  ]);
  assert.deepEqual(
    receipts.map(({ topic, offset, level }) => [topic, offset, level]),
    [
      ["a", 0, "broker"],
      ["b", 0, "broker"],
      ["a", 1, "broker"],
      ["c", 0, "broker"],
      ["b", 1, "broker"],
    ],
  );
  const attach = await server.next("ATTACH");
  const bundle = await server.next("BUNDLE");
  assert.deepEqual(bundle.producer, attach.handle);
  assert.deepEqual(bundle.topics, ["a", "b", "c"]);
  assert.deepEqual([...bundle.order], [0, 1, 0, 2, 1]);
  assert.deepEqual([bundle.attributes, bundle.wanted], [null, LEVEL.daemon]);
  const parts = publishesOf(bundle);
  assert.deepEqual(
    parts.map(({ previous, firstSequence, count }) => [
      previous,
      firstSequence,
      count,
    ]),
    [[0, 1, 2], [0, 1, 2], [0, 1, 1]],
  );
  const requests = parts.map(({ request }) => request);
  assert.equal(new Set(requests).size, 3);
  assert.deepEqual(requests, requests.toSorted((a, b) => a - b));
  assert.deepEqual(recordsOf(bundle).map(({ value }) => value), [
    1,
    2,
    3,
    4,
    5,
  ]);
  assert.deepEqual(types(server), ["BUNDLE"]);
  // What comes next goes on from there.
  await Promise.all([mom.publish("c", 6), mom.publish("a", 7)]);
  const next = await server.next("BUNDLE");
  assert.deepEqual(
    publishesOf(next).map(({ topic, previous, firstSequence }) => [
      topic,
      previous,
      firstSequence,
    ]),
    [["c", 1, 2], ["a", 2, 3]],
  );
});

Deno.test("publishes to one topic stay a PUBLISH, whatever was bundled before", async () => {
  await using server = bundling();
  const mom = await server.connect();
  await Promise.all([mom.publish("a", 1), mom.publish("a", 2)]);
  await Promise.all([mom.publish("a", 3), mom.publish("b", 4)]);
  await mom.publish("b", 5);
  await mom.publishMany("b", [6, 7]);
  assert.deepEqual(types(server), ["PUBLISH", "BUNDLE", "PUBLISH", "PUBLISH"]);
});

Deno.test("publishMany() leaves behind what was published before, and ahead of what comes after", async () => {
  await using server = bundling();
  const mom = await server.connect();
  await Promise.all([
    mom.publish("a", 1),
    mom.publish("b", 2),
    mom.publishMany("a", [3, 4]),
    mom.publish("b", 5),
    mom.publish("a", 6),
  ]);
  assert.deepEqual(types(server), ["BUNDLE", "PUBLISH", "BUNDLE"]);
  assert.deepEqual(leftOf(server), [
    ["a", 1],
    ["b", 2],
    ["a", 3],
    ["a", 4],
    ["b", 5],
    ["a", 6],
  ]);
});

Deno.test("a server that does not know bundles is never sent one, and the order over topics holds", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const expected = Array.from({ length: 60 }, (_, n) => [`t/${n % 7}`, n]);
  await Promise.all(
    expected.map(([topic, n]) => mom.publish(topic as string, n)),
  );
  assert.equal(server.count("BUNDLE"), 0);
  assert.deepEqual(leftOf(server), expected);
  const hello = await server.next("HELLO");
  assert.deepEqual(hello.features, ["bundles"]);
});

Deno.test("what has other options is no part of a bundle, and the order holds", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const options: PublishOptions[] = [
    {},
    {},
    { expiresMs: 5_000 },
    { expiresMs: 5_000 },
    { level: "broker" },
    { level: "broker" },
    { epoch: 1 },
    { epoch: 1 },
    {},
  ];
  await Promise.all(
    options.map((each, n) => mom.publish(n % 2 === 0 ? "a" : "b", n, each)),
  );
  assert.deepEqual(types(server), [
    "BUNDLE",
    "BUNDLE",
    "BUNDLE",
    "BUNDLE",
    "PUBLISH",
  ]);
  assert.deepEqual(leftOf(server).map(([, n]) => n), [...options.keys()]);
  const [plain, expiring, sure, bound] = sentBy(server);
  assert.deepEqual([plain.attributes, plain.wanted], [null, LEVEL.daemon]);
  const left = expiring.attributes?.get(1) as number;
  assert.ok(left > 4_000 && left <= 5_000, `${left}`);
  assert.deepEqual([sure.attributes, sure.wanted], [null, LEVEL.broker]);
  assert.deepEqual(bound.attributes, new Map([[10, 1]]));
});

/** What is published at random: topic, value and options of each. */
function drawPublishes(random: Random, count: number) {
  const topics = Array.from(
    { length: random.pick([2, 5, 90]) },
    (_, n) => `t/${n}`,
  );
  const options: PublishOptions[] = [
    {},
    { expiresMs: 60_000 },
    { level: "broker" },
  ];
  let option = options[0];
  return Array.from({ length: count }, (_, n) => {
    if (random.chance(0.05)) option = random.pick(options);
    const bytes = random.chance(0.04) ? random.pick([70_000, 40 * 1024]) : 4;
    const value = new Uint8Array(bytes);
    new DataView(value.buffer).setUint32(0, n);
    return { topic: random.pick(topics), value, option };
  });
}

const numberIn = (value: unknown) =>
  new DataView((value as Uint8Array).buffer, (value as Uint8Array).byteOffset)
    .getUint32(0);

for (const features of [[], ["bundles"]]) {
  const kind = features.length === 0 ? "without" : "with";
  Deno.test(`publishes are stored in their order over all topics ${kind} bundles, whenever connections are lost`, async () => {
    const random = new Random(SEED);
    for (let round = 0; round < 6; round++) {
      await using server = new ScriptedServer();
      server.features = features;
      const mom = await server.connect();
      const store = new BundleStore();
      let cuts = 4;
      // Some answers get lost; then the connection, too, so that all goes out again.
      server.script = (message, peer) => {
        if (!isPublishing(message)) return false;
        const answers = store.take(message);
        for (const answer of answers) {
          if (cuts === 0 || random.chance(0.4)) peer.send(answer);
        }
        if (cuts > 0 && random.chance(0.1)) {
          cuts--;
          peer.abort();
        }
        return true;
      };
      const publishes = drawPublishes(random, 400);
      const receipts: Promise<Receipt>[] = [];
      for (const { topic, value, option } of publishes) {
        receipts.push(mom.publish(topic, value, option));
        if (random.chance(0.02)) await turn();
      }
      await turn();
      cuts = 0;
      server.cut();
      await Promise.all(receipts);
      assert.deepEqual(
        store.stored.map(({ topic, value }) => [topic, numberIn(value)]),
        publishes.map(({ topic }, n) => [topic, n]),
        `seed ${SEED}, round ${round}`,
      );
      assert.equal(store.late, 0);
      assert.equal(server.count("BUNDLE") > 0, features.length > 0);
      assert(server.count("ATTACH") > 1);
    }
  });
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("more topics than a bundle has parts are several bundles, in order", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const order = [
    // Each topic twice, the second time behind the next one.
    ...Array.from({ length: 150 }, (_, n) => [n + 1, n]).flat(),
    // The first ones are closed by then.
    ...Array.from({ length: 30 }, (_, n) => [n, n + 1]).flat(),
  ];
  await Promise.all(order.map((n, i) => mom.publish(`t/${n}`, i)));
  const bundles = server.heard.filter((each) => each.type === "BUNDLE");
  assert.deepEqual(bundles.map(({ topics }) => topics.length), [64, 64, 56]);
  assert.deepEqual(leftOf(server), order.map((n, i) => [`t/${n}`, i]));
});

Deno.test("many topics of which none comes twice are batches of their own, few are a bundle", async () => {
  for (const [count, type] of [[16, "BUNDLE"], [17, "PUBLISH"]] as const) {
    await using server = bundling();
    const mom = await server.connect();
    const order = Array.from({ length: count }, (_, n) => [`t/${n}`, n]);
    await Promise.all(
      order.map(([topic, n]) => mom.publish(topic as string, n)),
    );
    assert.deepEqual(new Set(types(server)), new Set([type]));
    assert.deepEqual(leftOf(server), order);
  }
});

Deno.test("a bundle of many records keeps their order", async () => {
  await using server = bundling();
  const mom = await server.connect();
  // Of the first topic alone so many that the order has to be kept from there on.
  const topics = [
    ...new Array(700).fill("a"),
    ..."bab".repeat(500),
    ...new Array(300).fill("c"),
  ];
  await Promise.all(topics.map((topic, n) => mom.publish(topic, n)));
  assert.deepEqual(types(server), ["BUNDLE"]);
  assert.deepEqual(leftOf(server), topics.map((topic, n) => [topic, n]));
});

Deno.test("a value that cannot be encoded hurts nobody else in its bundle", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const bad = () => {};
  const steps: [string, unknown][] = [
    ["x", bad], // as the very first
    ["a", 0],
    ["b", bad], // the first of the second topic
    ["a", 1],
    ["b", 2],
    ["c", bad], // the first of a third
    ["b", bad], // in the middle of its topic
    ["c", 3],
    ["a", bad],
    ["a", 4],
    ["d", bad], // at the end
  ];
  const results = await Promise.allSettled(
    steps.map(([topic, value]) => mom.publish(topic, value)),
  );
  assert.deepEqual(
    results.map(({ status }) => status === "fulfilled"),
    steps.map(([, value]) => value !== bad),
  );
  assert.deepEqual(
    results.flatMap((each) =>
      each.status === "fulfilled" ? [[each.value.topic, each.value.offset]] : []
    ),
    [["a", 0], ["a", 1], ["b", 0], ["c", 0], ["a", 2]],
  );
  assert.deepEqual(types(server), ["BUNDLE"]);
  const bundle = await server.next("BUNDLE");
  assert.deepEqual(bundle.topics, ["a", "b", "c"]);
  assert.deepEqual([...bundle.order], [0, 0, 1, 2, 0]);
  assert.deepEqual(leftOf(server).map(([, n]) => n), [0, 1, 2, 3, 4]);
});

Deno.test("values that cannot be encoded leave nothing behind, however many there are", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const first = mom.publish("a", 1);
  const long = "x".repeat(250);
  const refused = Array.from(
    { length: 300 },
    (_, n) => rejectionCode(mom.publish(`${long}/${n}`, () => {})),
  );
  const second = mom.publish("b", 2);
  await Promise.all([first, second]);
  assert.deepEqual(
    new Set(await Promise.all(refused)),
    new Set([
      "value_unsupported",
    ]),
  );
  // Their topics took no parts and no room.
  assert.deepEqual(types(server), ["BUNDLE"]);
  const bundle = await server.next("BUNDLE");
  assert.deepEqual(bundle.topics, ["a", "b"]);
});

Deno.test("a lone topic is a PUBLISH also when that of another could not be encoded", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const refused = rejectionCode(mom.publish("b", () => {}));
  await Promise.all([mom.publish("a", 1), mom.publish("a", 2)]);
  assert.equal(await refused, "value_unsupported");
  const late = [mom.publish("a", 3), mom.publish("b", () => {})];
  await Promise.allSettled(late);
  assert.deepEqual(types(server), ["PUBLISH", "PUBLISH"]);
  assert.deepEqual(leftOf(server), [["a", 1], ["a", 2], ["a", 3]]);
});

Deno.test("a record of 32 KiB with its head is part of a bundle, a larger one goes between", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const most = LIMITS.bundledRecordBytes;
  const sizes: [string, number][] = [
    ["a", most + 1], // nothing has gathered yet: no other topic may join it
    ["a", 399],
    ["b", 398],
    ["a", 400],
    ["b", most],
    ["a", 401],
    ["b", most + 1], // its topic is a part already
    ["a", 402],
    ["b", 403],
    ["c", most + 1], // it would have begun a part
    ["b", 404],
    ["a", most + 1],
    ["b", 405],
  ];
  await Promise.all(sizes.map(([topic, n]) => mom.publish(topic, valueOf(n))));
  assert.deepEqual(
    leftOf(server).map(([topic, value]) => [
      topic,
      (value as Uint8Array).length,
    ]),
    sizes.map(([topic, n]) => [topic, n - 8]),
  );
  const counts = sentBy(server).map((each) => [
    each.type,
    partsOf(each).order.length,
  ]);
  assert.deepEqual(counts, [
    ["PUBLISH", 2],
    ["BUNDLE", 4],
    ["PUBLISH", 1],
    ["BUNDLE", 2],
    ["PUBLISH", 1],
    ["PUBLISH", 1],
    ["PUBLISH", 1],
    ["PUBLISH", 1],
  ]);
});

for (const maxMessageBytes of [8 * 1024 * 1024, 20 * 1024, 64]) {
  Deno.test(`bundles stay within 56 KiB, 64 parts and a frame where messages have ${maxMessageBytes} bytes at most`, async () => {
    await using server = bundling();
    server.maxMessageBytes = maxMessageBytes;
    const mom = await server.connect();
    const random = new Random(SEED + maxMessageBytes);
    const names = Array.from(
      { length: 200 },
      (_, n) => "ä".repeat(random.integer(0, 120)) + n,
    );
    const published: [string, number][] = [];
    for (let round = 0; round < 30; round++) {
      const topics = names.slice(0, random.pick([1, 3, 20, 200]));
      const bytes = random.pick([1, 1, 50, 3_000, 40_000]);
      const count = random.pick([10, 1_000, 12_000]);
      for (let n = 0; n < count && published.length < 60_000; n++) {
        const size = random.integer(0, Math.min(bytes, maxMessageBytes));
        published.push([random.pick(topics), size]);
        if (n * bytes > 400_000) break;
      }
    }
    await Promise.all(
      published.map(([topic, size]) =>
        mom.publish(topic, new Uint8Array(size))
      ),
    );
    const message = `seed ${SEED}`;
    let bundles = 0;
    for (const each of sentBy(server)) {
      const { length } = encodeFrame(each);
      assert(length <= frameBytesMax(maxMessageBytes), `${message}: ${length}`);
      if (each.type !== "BUNDLE") continue;
      bundles++;
      // By the book, or it is refused; and no part is too small to be one.
      assert(publishesOf(each).length > 1, message);
    }
    assert(bundles > 2, `${message}: ${bundles}`);
    assert.deepEqual(
      recordsOfAll(server.heard).map(({ topic, value }) => [
        topic,
        (value as Uint8Array).length,
      ]),
      published,
      message,
    );
  });
}

Deno.test("what names the parts of a bundle, and their order, counts as its records do", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const long = (n: number) => `${n}`.padEnd(255, "x");
  const publishes: [topic: string, value: unknown][] = [
    ...Array.from(
      { length: 200 },
      (_, n): [string, unknown] => [long(n), valueOf(400)],
    ),
    ...Array.from(
      { length: 30_000 },
      (_, n): [string, unknown] => [n % 2 === 0 ? "a" : "b", 1],
    ),
  ];
  await Promise.all(
    publishes.map(([topic, value]) => mom.publish(topic, value)),
  );
  const bundles = server.heard.filter((each) => each.type === "BUNDLE");
  for (const { topics, order, batch } of bundles) {
    // Those of the first one, which may have been alone, are not.
    const names = topics.slice(1).map(bundlePartBytes);
    const bytes = names.reduce((sum, each) => sum + each, 0) + order.length +
      batch.length;
    assert(bytes <= 56 * 1024, `${topics.length} topics: ${bytes}`);
  }
  assert.equal(recordsOfAll(server.heard).length, publishes.length);
});

Deno.test("a server that knows bundles no more gets what was one as publishes", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const store = new BundleStore();
  server.script = isPublishing;
  const receipts = [mom.publish("a", 1), mom.publish("b", 2)];
  receipts.push(mom.publish("a", 3));
  await server.next("BUNDLE");
  server.heard.length = 0;
  server.features = [];
  server.script = (message, peer) => {
    if (!isPublishing(message)) return false;
    for (const each of store.take(message)) peer.send(each);
    return true;
  };
  server.cut();
  await Promise.all(receipts);
  await Promise.all([mom.publish("b", 4), mom.publish("a", 5)]);
  assert.equal(server.count("BUNDLE"), 0);
  // Each topic keeps its order, and nothing is doubled.
  for (const [topic, values] of [["a", [1, 3, 5]], ["b", [2, 4]]] as const) {
    const stored = store.stored.filter((each) => each.topic === topic);
    assert.deepEqual(stored.map(({ value }) => value), values);
  }
});

Deno.test("no more than 32 MiB of bundles and one more are sent without an answer", async () => {
  await using server = bundling();
  const mom = await server.connect();
  const unanswered: Publish[] = [];
  server.script = (message) => {
    if (!isPublishing(message)) return false;
    unanswered.push(...partsOf(message).parts);
    return true;
  };
  const value = valueOf(25_000);
  const receipts: Promise<Receipt>[] = [];
  for (let n = 0; n < 1_600; n++) {
    receipts.push(mom.publish(`t/${n % 3}`, value));
  }
  const bytes = () =>
    unanswered.reduce((sum, { batch }) => sum + batch.length, 0);
  const most = 32 * 1024 * 1024;
  await eventually("a full window", () => bytes() > most);
  // What is asked now is answered behind whatever was sent before.
  await mom.subscribe("t");
  assert(bytes() <= most + LIMITS.bundleBytes, `${bytes()}`);
  const answer = (parts: Publish[]) => {
    for (const { request, firstSequence } of parts) {
      const offset = firstSequence - 1;
      server.send({ type: "RECEIPT", request, level: 1, offset });
    }
  };
  server.script = () => false;
  answer(unanswered);
  await Promise.all(receipts);
  assert.equal(recordsOfAll(server.heard).length, receipts.length);
  assert(server.count("BUNDLE") > 500);
});

Deno.test("closing a handle waits for all parts of a bundle", async () => {
  await using server = bundling();
  const mom: Mom = await server.connect();
  let isClosed = false;
  const parts: Publish[] = [];
  server.script = (message) => {
    if (message.type !== "BUNDLE") return false;
    parts.push(...publishesOf(message));
    return true;
  };
  const receipts = [mom.publish("a", 1), mom.publish("b", 2)];
  const closed = mom.close().then(() => isClosed = true);
  await server.next("BUNDLE");
  const [a, b] = parts;
  const { request } = b;
  server.send({ type: "RECEIPT", request, level: 1, offset: 4 });
  assert.equal((await receipts[1]).offset, 4);
  await turn();
  assert.equal(isClosed, false);
  assert.equal(server.count("DETACH"), 0);
  server.send({ type: "RECEIPT", request: a.request, level: 0, offset: null });
  assert.deepEqual(await receipts[0], { topic: "a", level: "daemon" });
  await closed;
});
