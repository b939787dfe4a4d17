/** Publishing at the core: sequences, refusals, large records, expiry. */

import assert from "node:assert/strict";
import { App, NOBODY } from "./_app.ts";
import { batchOf, idOf, numbersOf } from "./_records.ts";
import { World } from "./_world.ts";

Deno.test("[P-8.4] a publish is answered with level 1 and its first offset", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const first = await app.publish("doors", [1, 2, 3]);
  const second = await app.publish("doors", [4]);
  assert.deepEqual(
    [first, second].map((each) => each.type === "RECEIPT" && each.offset),
    [0, 3],
  );
  assert.equal(first.type === "RECEIPT" && first.level, 1);
});

Deno.test("[P-8.3] what is known is skipped, also part of a batch", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await app.publish("doors", [1, 2, 3]);
  const again = await app.publish("doors", [1, 2, 3], { first: 1 });
  assert.equal(again.type, "RECEIPT");
  const overlapping = await app.publish("doors", [2, 3, 4, 5], { first: 2 });
  assert.equal(overlapping.type, "RECEIPT");
  assert.deepEqual(reader.numbers(), [1, 2, 3, 4, 5]);
});

Deno.test("[P-8.3] a batch that leaves something out is refused with the last sequence", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  await app.publish("doors", [1, 2]);
  const answer = await app.publish("doors", [5], { first: 5 });
  assert.ok(answer.type === "ERROR" && answer.code === "out_of_sequence");
  assert.deepEqual(answer.details, new Map([["last", 2]]));
});

Deno.test("[P-8.2] a hole that the sender knows of is accepted", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  await app.publish("doors", [1, 2]);
  const answer = await app.publish("doors", [9], { first: 9, previous: 2 });
  assert.equal(answer.type, "RECEIPT");
});

Deno.test("[P-8.5] what is for another epoch is refused, but for what is known and what has begun", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  const { epoch } = world.check().store;
  const attributes = new Map([[10, epoch + 1]]);
  const refused = await app.publish("doors", [1], { first: 1, attributes });
  assert.ok(refused.type === "ERROR" && refused.code === "store_replaced");
  const here = new Map([[10, epoch]]);
  await app.publish("doors", [1, 2], { first: 1, attributes: here });
  const known = await app.publish("doors", [1, 2], { first: 1, attributes });
  assert.equal(known.type, "RECEIPT");
  // A refusal would cover 2, which is stored (PROTOCOL 8.8).
  const begun = await app.publish("doors", [2, 3], { first: 2, attributes });
  assert.equal(begun.type, "RECEIPT");
  const next = await app.publish("doors", [4], { first: 4, attributes });
  assert.ok(next.type === "ERROR" && next.code === "store_replaced");
  assert.deepEqual(reader.numbers(), [1, 2, 3]);
  assert.ok(reader.wire.all("DELIVER").every((one) => one.attributes === null));
});

Deno.test("a duplicate of what is still on its way to the disk waits for it", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const first = app.send("doors", [1]);
  const again = app.send("doors", [1], { first: 1 });
  assert.equal(app.wire.answer(again), undefined);
  await world.settle();
  const order = app.wire.all("RECEIPT").map(({ request }) => request);
  assert.deepEqual(order, [first, again]);
});

Deno.test("publish refuses what breaks the rules and goes on", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const code = async (
    topic: string,
    options: Parameters<App["publish"]>[2] = {},
  ) => {
    const answer = await app.publish(topic, [1], { first: 1, ...options });
    return answer.type === "ERROR" ? answer.code : answer.type;
  };
  assert.equal(await code("a b"), "topic_invalid");
  assert.equal(await code("$mom/x"), "topic_invalid");
  assert.equal(await code("a", { producer: NOBODY }), "bad_message");
  assert.equal(
    await code("a", { attributes: new Map([[2, 1]]) }),
    "unsupported",
  );
  assert.equal(
    await code("a", { bytes: 9 * 1024 * 1024 }),
    "message_too_large",
  );
  assert.equal(
    await code("a", { attributes: new Map([[5, "trace"]]) }),
    "RECEIPT",
  );
});

Deno.test("publish refuses a batch whose count is wrong", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const answer = await app.ask({
    type: "PUBLISH",
    topic: "a",
    producer: app.handle,
    previous: 0,
    firstSequence: 1,
    count: 3,
    attributes: null,
    batch: batchOf([1, 2]),
  });
  assert.equal(answer, "bad_message");
  assert.equal(world.check().totals.published, 0);
});

Deno.test("large and small records keep the order of their producer", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const live = await App.attach(world, world.connect(), "ben");
  await live.subscribe("doors");
  const requests: number[] = [];
  for (let n = 0; n < 12; n++) {
    const bytes = n % 3 === 1 ? 300_000 : 20_000;
    requests.push(app.send("doors", [2 * n, 2 * n + 1], { bytes }));
    app.send("windows", [100 + n]);
  }
  await world.settle();
  for (const request of requests) {
    assert.equal(app.wire.answer(request)?.type, "RECEIPT");
  }
  assert.deepEqual(live.numbers(), Array.from({ length: 24 }, (_, n) => n));
  const late = await App.attach(world, world.connect(), "cleo");
  await late.subscribe("doors", { from: "earliest" });
  assert.deepEqual(late.numbers(), live.numbers());
});

Deno.test("others go on while a large record is written", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const other = await App.attach(world, world.connect(), "ben");
  const reader = await App.attach(world, world.connect(), "cleo");
  await reader.subscribe("#");
  app.send("doors", [1], { bytes: 4 * 1024 * 1024 });
  other.send("windows", [2]);
  await world.settle();
  assert.deepEqual(reader.numbers(), [2, 1]);
});

Deno.test("[P-8.9] a producer's messages keep their order over its topics", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("#");
  const topics = ["doors", "windows", "roof"];
  for (let n = 0; n < 12; n++) {
    const bytes = n % 4 === 1 ? 300_000 : 50;
    app.send(topics[n % 3], [n], { bytes });
  }
  await world.settle();
  assert.deepEqual(reader.numbers(), Array.from({ length: 12 }, (_, n) => n));
});

Deno.test("[P-8.5] attributes arrive; expires as what is left", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const live = await App.attach(world, world.connect(), "ben");
  await live.subscribe("doors");
  await app.publish("doors", [1], {
    attributes: new Map<number, unknown>([[1, 5_000], [5, "trace"]]),
  });
  const [delivered] = live.deliveries();
  assert.deepEqual(
    delivered.attributes,
    new Map<number, unknown>([[5, "trace"], [1, 5_000]]),
  );
  world.time.nowMs += 2_000;
  const late = await App.attach(world, world.connect(), "cleo");
  await late.subscribe("doors", { from: "earliest" });
  assert.equal(late.deliveries()[0].attributes?.get(1), 3_000);
});

Deno.test("what has expired is counted and not delivered", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben", { credit: 0 });
  await reader.subscribe("doors");
  await app.publish("doors", [1], { attributes: new Map([[1, 100]]) });
  await app.publish("doors", [2]);
  world.time.nowMs += 100;
  await reader.credit(10_000);
  assert.deepEqual(reader.numbers(), [2]);
  const [row] = world.check({ user: "ben@direct" }).subscriptions;
  assert.equal(row.expired, 1);
});

Deno.test("batches carry the sender and the time, which does not fall", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  const { nowMs } = world.time;
  await app.publish("doors", [1]);
  world.time.stepMs -= 60_000;
  await app.publish("doors", [2]);
  const batches = reader.deliveries();
  assert.deepEqual(batches.map(({ sender }) => sender), [
    "ana@direct",
    "ana@direct",
  ]);
  assert.equal(batches[0].time, nowMs);
  assert.ok(batches[1].time >= batches[0].time);
  assert.deepEqual(numbersOf(batches[1].batch), [2]);
});

Deno.test("[P-8.8] without room a batch is refused whole, and one that has begun is finished", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await app.publish("doors", [1, 2]);
  Object.assign(world.store, { canAppend: () => false });
  const refused = await app.publish("windows", [7, 8]);
  assert.ok(refused.type === "ERROR" && refused.code === "storage_full");
  const begun = await app.publish("doors", [1, 2, 3], { first: 1 });
  assert.equal(begun.type, "RECEIPT");
  assert.deepEqual(reader.numbers(), [1, 2, 3]);
  const next = await app.publish("doors", [4]);
  assert.ok(next.type === "ERROR" && next.code === "storage_full");
});

Deno.test("who has much waiting behind large records is made to wait, and nobody else", async () => {
  await using world = await World.open();
  const link = world.connectDaemon("north");
  const publish = (
    producer: Uint8Array,
    sequence: number,
    bytes: number,
  ): boolean => {
    link.send({
      type: "PUBLISH",
      request: sequence,
      topic: "t",
      producer,
      previous: sequence - 1,
      firstSequence: sequence,
      count: 1,
      attributes: null,
      batch: batchOf([sequence], bytes),
      wanted: undefined,
    });
    return link.pending.size > 0;
  };
  const [flood, other] = [idOf(1), idOf(2)];
  for (const producer of [flood, other]) {
    link.send({ type: "INTRODUCE", producer, user: "ana" });
  }
  const MIB = 1024 * 1024;
  // What a daemon may have under way of one app: one large publish behind 2 MiB.
  assert.equal(publish(flood, 1, 2 * MIB), false);
  assert.equal(publish(flood, 2, 7 * MIB), false);
  assert.equal(publish(other, 1, 9), false);
  assert.equal(publish(flood, 3, 7 * MIB), true);
  const waits = link.pending.size;
  publish(other, 2, 9);
  assert.equal(link.pending.size, waits, "the other waits too");
  await world.settle();
  assert.equal(link.pending.size, 0);
  assert.equal(link.all("RECEIPT").length, 5);
});
