/** Retention at the core: late starts, backlogs, the share of the disk, forgetting. */

import assert from "node:assert/strict";
import { App } from "./_app.ts";
import { World } from "./_world.ts";

const HOUR_MS = 60 * 60 * 1000;

/** Publishes batches that fill a journal value each, an hour apart. */
async function publishHours(
  world: World,
  app: App,
  topic: string,
  hours: number,
): Promise<void> {
  for (let n = 0; n < hours; n++) {
    await app.publish(topic, [n], { bytes: 50_000 });
    world.time.nowMs += HOUR_MS;
  }
}

async function tick(world: World): Promise<void> {
  world.core.tick();
  await world.settle();
}

Deno.test("a topic keeps for late starts what is young enough", async () => {
  await using world = await World.open({
    retention: { keepMs: 10 * HOUR_MS },
  });
  const app = await App.attach(world, world.connect(), "ana");
  await publishHours(world, app, "doors", 30);
  await tick(world);
  const [row] = world.check().topics;
  assert.equal(row.published, 30);
  assert.ok(row.stored >= 10 && row.stored <= 12, `${row.stored} stored`);
});

Deno.test("a topic keeps for late starts what is small enough", async () => {
  await using world = await World.open({ retention: { keepBytes: 200_000 } });
  const app = await App.attach(world, world.connect(), "ana");
  for (let n = 0; n < 30; n++) {
    await app.publish("doors", [n], { bytes: 50_000 });
  }
  await tick(world);
  const [row] = world.check().topics;
  assert.ok(row.stored >= 4 && row.stored <= 6, `${row.stored} stored`);
});

Deno.test("what a subscription waits for is kept longer, up to its own limit", async () => {
  await using world = await World.open({
    retention: { keepMs: HOUR_MS, holdMs: 40 * HOUR_MS },
  });
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben", { credit: 0 });
  await reader.subscribe("doors");
  await publishHours(world, app, "doors", 30);
  await tick(world);
  assert.equal(world.check().topics[0].stored, 30);
  await publishHours(world, app, "doors", 30);
  await tick(world);
  const { topics: [topic], subscriptions: [row] } = world.check();
  assert.ok(topic.stored >= 40 && topic.stored <= 42, `${topic.stored} stored`);
  assert.equal(row.matched, 60);
  assert.equal(row.pending, topic.stored);
  assert.deepEqual(row.droppedReasons, { trimmed: 60 - topic.stored });
  await reader.credit(1 << 30);
  assert.equal(reader.numbers()[0], topic.trimmed);
});

Deno.test("[P-6.5] a live user hears of what will not come", async () => {
  await using world = await World.open({
    retention: { keepMs: HOUR_MS, holdMs: 2 * HOUR_MS },
  });
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben", { credit: 0 });
  await reader.subscribe("doors");
  await publishHours(world, app, "doors", 10);
  await tick(world);
  const gaps = reader.wire.all("GAP");
  const { trimmed } = world.check().topics[0];
  assert.deepEqual(
    gaps.map(({ from, to, reason }) => ({ from, to, reason })),
    [{ from: 0, to: trimmed, reason: "trimmed" }],
  );
});

Deno.test("what a daemon has in custody needs no copy at the broker", async () => {
  await using world = await World.open({ retention: { keepMs: HOUR_MS } });
  const app = await App.attach(world, world.connect(), "ana");
  const wire = world.connectDaemon("north");
  const reader = await App.attach(world, wire, "ben");
  await reader.subscribe("doors");
  await publishHours(world, app, "doors", 10);
  await reader.acknowledgeAll(1);
  await tick(world);
  const { topics: [topic], subscriptions: [row] } = world.check();
  assert.ok(topic.stored < 4);
  assert.equal(row.pending, 10);
  await reader.acknowledgeAll();
  assert.equal(world.check().subscriptions[0].delivered, 10);
});

Deno.test("above its share of the disk the store drops the oldest backlog", async () => {
  await using world = await World.open({
    retention: { storeBytes: 1_000_000 },
  });
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben", { credit: 0 });
  await reader.subscribe("old");
  await reader.subscribe("young");
  await publishHours(world, app, "old", 20);
  await publishHours(world, app, "free", 5);
  await publishHours(world, app, "young", 10);
  await tick(world);
  const { topics } = world.check();
  const stored = new Map(topics.map((row) => [row.topic, row.stored]));
  assert.equal(stored.get("free"), 0);
  assert.ok(stored.get("old")! < 20);
  assert.equal(stored.get("young"), 10);
  const total = [...stored.values()].reduce((sum, n) => sum + n);
  assert.ok(total <= 20 && total >= 10, `${total} stored`);
});

Deno.test("a topic with nothing in it is forgotten, and the totals keep it", async () => {
  await using world = await World.open({ retention: { keepMs: HOUR_MS } });
  const app = await App.attach(world, world.connect(), "ana");
  await app.publish("doors", [1, 2, 3]);
  world.time.nowMs += 2 * HOUR_MS;
  await tick(world);
  assert.equal(world.check().topics.length, 1);
  world.time.nowMs += 24 * HOUR_MS;
  await tick(world);
  const { topics, totals } = world.check();
  assert.deepEqual(topics, []);
  assert.deepEqual([totals.published, totals.trimmed], [3, 3]);
  const answer = await app.publish("doors", [4], { previous: 0 });
  assert.ok(answer.type === "RECEIPT" && answer.offset === 0);
});

Deno.test("a topic that somebody subscribes to is not forgotten", async () => {
  await using world = await World.open({ retention: { keepMs: HOUR_MS } });
  const app = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await app.publish("doors", [1]);
  await reader.subscribe("doors");
  world.time.nowMs += 48 * HOUR_MS;
  await tick(world);
  await tick(world);
  assert.equal(world.check().topics.length, 1);
});

Deno.test("a producer is forgotten after 90 days of silence, but not while it is there", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const gone = await App.attach(world, world.connect(), "ben");
  await gone.publish("doors", [1]);
  await app.publish("doors", [2]);
  gone.wire.cut();
  world.time.nowMs += 91 * 24 * HOUR_MS;
  world.core.tickSlowly();
  await world.settle();
  const known = await app.publish("doors", [2], { first: 1 });
  assert.ok(known.type === "RECEIPT" && known.offset === null);
  const { handle } = gone;
  const back = await App.attach(world, world.connect(), "ben", { handle });
  const fresh = await back.publish("doors", [1], { first: 1 });
  assert.ok(fresh.type === "RECEIPT" && fresh.offset === 2);
});
