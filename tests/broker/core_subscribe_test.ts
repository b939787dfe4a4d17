/** Subscriptions at the core: where they begin and end. */

import assert from "node:assert/strict";
import { OUTCOME } from "../../protocol/messages.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { App } from "./_app.ts";
import { World } from "./_world.ts";

/** A world with a publisher and a reader. */
async function pair(world: World): Promise<[sender: App, reader: App]> {
  return [
    await App.attach(world, world.connect(), "ana"),
    await App.attach(world, world.connect(), "ben"),
  ];
}

Deno.test("[P-5.10] a subscription is refused twice and for a bad filter", async () => {
  await using world = await World.open();
  const [, reader] = await pair(world);
  assert.equal(await reader.subscribe("a/+"), "OK");
  assert.equal(await reader.subscribe("a/+"), "already_subscribed");
  assert.equal(await reader.subscribe("a/#/b"), "filter_invalid");
  assert.equal(await reader.unsubscribe("a/#"), "not_subscribed");
  assert.equal(await reader.unsubscribe("a/+"), "OK");
  assert.equal(await reader.unsubscribe("a/+"), "not_subscribed");
  assert.equal(await reader.subscribe("a/+"), "OK");
});

Deno.test("[P-5.10] SUBSCRIBE without a user is refused", async () => {
  await using world = await World.open();
  const [, reader] = await pair(world);
  await reader.ask({ type: "DETACH", ref: 1 });
  assert.equal(await reader.subscribe("a"), "bad_message");
});

Deno.test("[P-5.10] a subscription begins where it is told", async () => {
  await using world = await World.open();
  const [sender] = await pair(world);
  const start = world.time.nowMs;
  for (let n = 0; n < 5; n++) {
    world.time.nowMs = start + n * 1_000;
    await sender.publish("a/b", [2 * n, 2 * n + 1]);
  }
  const expected: [from: string, fromValue: number, first: number][] = [
    ["now", 0, 10],
    ["earliest", 0, 0],
    ["last", 0, 9],
    ["offset", 3, 3],
    ["offset", 1_000, 10],
    ["time", start + 2_500, 6],
    ["time", 0, 0],
    ["time", start + 60_000, 10],
  ];
  const readers: App[] = [];
  for (const [index, [from, fromValue]] of expected.entries()) {
    const reader = await App.attach(world, world.connect(), `r${index}`);
    const filter = index % 2 === 0 ? "a/b" : "a/+";
    assert.equal(await reader.subscribe(filter, { from, fromValue }), "OK");
    readers.push(reader);
  }
  await sender.publish("a/b", [10]);
  for (const [index, [from, fromValue, first]] of expected.entries()) {
    assert.deepEqual(
      readers[index].numbers(),
      Array.from({ length: 11 - first }, (_, n) => first + n),
      `${from} ${fromValue}`,
    );
  }
});

Deno.test("a topic that appears later is read from its first message", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  await reader.subscribe("#");
  reader.wire.cut();
  await sender.publish("new", [1, 2]);
  await sender.publish("new", [3]);
  const again = await App.attach(world, world.connect(), "ben");
  assert.deepEqual(again.numbers(), [1, 2, 3]);
});

Deno.test("[P-5.11] what matched before UNSUBSCRIBE still comes, what follows does not", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  const late = await App.attach(world, world.connect(), "cleo", { credit: 0 });
  for (const app of [reader, late]) await app.subscribe("doors");
  await sender.publish("doors", [1, 2]);
  const first = reader.deliveries()[0];
  assert.ok(first !== undefined);
  await late.unsubscribe("doors");
  await sender.publish("doors", [3]);
  await late.subscribe("doors");
  await sender.publish("doors", [4]);
  await late.credit(10_000);
  assert.deepEqual(late.numbers(), [1, 2, 4]);
  assert.deepEqual(reader.numbers(), [1, 2, 3, 4]);
  await late.acknowledgeAll();
  const rows = world.check({ user: "cleo@direct" }).subscriptions;
  assert.deepEqual(rows.map(({ matched, delivered }) => [matched, delivered]), [
    [1, 1],
  ]);
  assert.equal(world.check().totals.delivered, 3);
});

Deno.test("an UNSUBSCRIBE overtakes no message that is not yet on disk", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  await reader.subscribe("doors");
  sender.send("doors", [1]);
  await reader.unsubscribe("doors");
  assert.deepEqual(reader.numbers(), [1]);
});

Deno.test("a subscription that reaches back adds what was not there, nothing twice", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  await sender.publish("doors", [0, 1, 2]);
  await reader.subscribe("doors");
  await sender.publish("doors", [3, 4]);
  await reader.acknowledgeAll();
  await sender.publish("doors", [5]);
  await reader.subscribe("#", { from: "earliest" });
  assert.deepEqual(reader.numbers(), [3, 4, 5, 0, 1, 2]);
  await reader.acknowledgeAll();
  const rows = world.check().subscriptions;
  assert.deepEqual(
    rows.map(({ filter, matched, delivered }) => [filter, matched, delivered]),
    [["doors", 3, 3], ["#", 4, 4]],
  );
});

Deno.test("nothing is sent to a subscription that is not yet on disk", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  await sender.publish("doors", [0]);
  const { promise: onDisk, resolve: commit } = Promise.withResolvers<void>();
  world.faults.onCommit = () => onDisk;
  reader.wire.send({
    type: "SUBSCRIBE",
    request: 77,
    ref: 1,
    filter: "doors",
    from: "earliest",
    fromValue: 0,
    manual: false,
    echo: false,
  });
  // The message is in memory: long enough for a delivery that waits for nothing.
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  assert.deepEqual(reader.numbers(), []);
  commit();
  await world.settle();
  assert.deepEqual(reader.numbers(), [0]);
});

Deno.test("what an ended subscription had in custody is sent to one that reaches back", async () => {
  await using world = await World.open();
  const [sender] = await pair(world);
  const reader = await App.attach(world, world.connectDaemon("north"), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [0]);
  await reader.acknowledgeAll();
  await sender.publish("doors", [1]);
  const { logId } = reader.deliveries()[1];
  await reader.acknowledge([OUTCOME.custody, logId, 1, 2]);
  await reader.unsubscribe("doors");
  await reader.subscribe("doors");
  await sender.publish("doors", [2]);
  await reader.acknowledgeAll();
  reader.wire.clear();
  await reader.subscribe("#", { from: "earliest" });
  assert.deepEqual(reader.numbers(), [0, 1]);
  await reader.acknowledgeAll();
  assert.equal(world.check().totals.pending, 0);
});

Deno.test("what was published between two subscriptions comes if the second reaches back to it", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  await reader.subscribe("doors");
  await sender.publish("doors", [0]);
  await reader.unsubscribe("doors");
  await sender.publish("doors", [1]);
  // Its own, of which nobody asked anything.
  await reader.publish("doors", [2]);
  await reader.subscribe("doors", { from: "offset", fromValue: 1 });
  assert.deepEqual(reader.numbers(), [0, 1]);
  await reader.acknowledgeAll();
  const { totals } = world.check();
  assert.deepEqual([totals.pending, totals.own], [0, 1]);
});

Deno.test("what was held and is decided is sent again to one who asks anew", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  await reader.subscribe("doors", { manual: true });
  await sender.publish("doors", [0]);
  const { logId } = reader.deliveries()[0];
  await reader.attachAgain({ known: [OUTCOME.held, logId, 0, 1] });
  await reader.acknowledge([OUTCOME.delivered, logId, 0, 1]);
  await reader.unsubscribe("doors");
  reader.wire.clear();
  await reader.subscribe("doors", { from: "earliest" });
  assert.deepEqual(reader.numbers(), [0]);
});

Deno.test("subscriptions, their progress and their sums outlive a restart", async () => {
  await using folder = await TempFolder.make();
  {
    await using world = await World.open({ data: folder.path });
    const [sender, reader] = await pair(world);
    await reader.subscribe("a/+", { manual: true, echo: true });
    await sender.publish("a/b", [0, 1, 2]);
    const { logId } = reader.deliveries()[0];
    await reader.acknowledge([2, logId, 1, 2]);
    const gone = await App.attach(world, world.connect(), "cleo");
    await gone.subscribe("a/b", { from: "earliest" });
    await gone.ask({ type: "DESTROY", name: "cleo", incarnation: null });
  }
  await using world = await World.open({ data: folder.path });
  const before = world.check();
  assert.deepEqual(before.totals.droppedReasons, { destroyed: 3 });
  const reader = await App.attach(world, world.connect(), "ben");
  assert.equal(await reader.subscribe("a/+"), "already_subscribed");
  assert.deepEqual(reader.numbers(), [0, 2]);
  assert.equal(reader.deliveries()[0].targets[1] & 1, 1);
  await reader.publish("a/b", [3]);
  assert.deepEqual(reader.numbers(), [0, 2, 3]);
  const [row] = world.check().subscriptions;
  assert.deepEqual([row.matched, row.delivered, row.pending], [4, 1, 3]);
});

Deno.test("ten thousand subscriptions and topics are no burden", async () => {
  await using world = await World.open();
  const [sender, reader] = await pair(world);
  for (let n = 0; n < 10_000; n++) {
    reader.wire.send({
      type: "SUBSCRIBE",
      request: 10_000 + n,
      ref: 1,
      filter: n % 2 === 0 ? `t/${n}/x` : `t/${n}/+`,
      from: "now",
      fromValue: 0,
      manual: false,
      echo: false,
    });
  }
  await world.settle();
  for (let n = 0; n < 10_000; n++) sender.send(`t/${n}/x`, [n]);
  await world.settle();
  assert.equal(reader.numbers().length, 10_000);
  const { subscriptions, omitted, totals } = world.check();
  assert.equal(subscriptions.length, 1_000);
  assert.equal(omitted.subscriptions, 9_000);
  assert.equal(totals.matched, 10_000);
});
