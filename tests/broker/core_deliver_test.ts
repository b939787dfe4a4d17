/** Deliveries at the core: who gets what, credit, order, acknowledgements. */

import assert from "node:assert/strict";
import { OUTCOME, TARGET_FLAG } from "../../protocol/messages.ts";
import { eventually } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { App } from "./_app.ts";
import { freshId } from "./_sim_handle.ts";
import { type Wire, World } from "./_world.ts";

/** A daemon with some users on it. */
async function crowd(
  world: World,
  wire: Wire,
  names: readonly string[],
  credit?: number,
): Promise<App[]> {
  const apps: App[] = [];
  for (const [index, name] of names.entries()) {
    apps.push(await App.attach(world, wire, name, { ref: index + 1, credit }));
  }
  return apps;
}

Deno.test("[P-6.1] a batch goes once to a connection, whatever the number of its users", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north");
  const apps = await crowd(world, wire, ["a", "b", "c"]);
  await apps[0].subscribe("doors");
  await apps[2].subscribe("doors", { manual: true });
  const sender = await App.attach(world, world.connect(), "ana");
  await sender.publish("doors", [1, 2]);
  const frames = wire.all("DELIVER");
  assert.equal(frames.length, 1);
  const pairs = new Map<number, number>();
  for (let i = 0; i < frames[0].targets.length; i += 2) {
    pairs.set(frames[0].targets[i], frames[0].targets[i + 1]);
  }
  assert.deepEqual(pairs, new Map([[3, TARGET_FLAG.manual], [1, 0]]));
});

Deno.test("[P-6.6] nothing is sent without credit, and no more than it allows", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben", { credit: 0 });
  await reader.subscribe("doors");
  await sender.publish("doors", [1, 2, 3, 4]);
  assert.deepEqual(reader.numbers(), []);
  await reader.credit(32 + 2 * 9);
  assert.deepEqual(reader.numbers(), [1, 2]);
  await reader.credit(2 * 32 + 3 * 9);
  assert.deepEqual(reader.numbers(), [1, 2, 3]);
  await sender.publish("doors", [5]);
  await reader.credit(10_000);
  assert.deepEqual(reader.numbers(), [1, 2, 3, 4, 5]);
});

Deno.test("[P-6.6] a record larger than the window passes when the window is free", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben", {
    credit: 1_000,
  });
  await reader.subscribe("doors");
  await sender.publish("doors", [1], { bytes: 900 });
  await sender.publish("doors", [2], { bytes: 100_000 });
  await sender.publish("doors", [3], { bytes: 2_000 });
  assert.deepEqual(reader.numbers(), [1]);
  await reader.credit(1_000 + 932);
  assert.deepEqual(reader.numbers(), [1, 2]);
  await reader.credit(1_000 + 932 + 100_032);
  assert.deepEqual(reader.numbers(), [1, 2, 3]);
});

Deno.test("[P-6.3] what waits for credit is passed by nothing, whenever some comes", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const wire = world.connect();
  const reader = await App.attach(world, wire, "ben", { credit: 0 });
  await reader.subscribe("#");
  await sender.publish("doors", [1], { bytes: 900 });
  await sender.publish("doors", [2], { bytes: 100_000 });
  await sender.publish("windows", [3]);
  // Some credit comes right after the large record was found to have too little.
  wire.onMessage = ({ type }) => {
    if (type !== "DELIVER") return;
    wire.onMessage = () => {};
    const { ref } = reader;
    queueMicrotask(() => wire.send({ type: "CREDIT", ref, total: 1_100 }));
  };
  await reader.credit(1_000);
  assert.deepEqual(reader.numbers(), [1]);
  await reader.credit(1_000 + 932);
  assert.deepEqual(reader.numbers(), [1, 2]);
  await reader.credit(1_000 + 932 + 100_032);
  assert.deepEqual(reader.numbers(), [1, 2, 3]);
});

Deno.test("[P-6.7] a user without credit holds up nobody of its machine", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north", { credit: 100_000 });
  const idle = await App.attach(world, wire, "idle", { ref: 1, credit: 0 });
  const busy = await App.attach(world, wire, "busy", { ref: 2 });
  await idle.subscribe("doors");
  await busy.subscribe("doors");
  const sender = await App.attach(world, world.connect(), "ana");
  for (let n = 0; n < 20; n++) await sender.publish("doors", [n]);
  assert.equal(busy.numbers().length, 20);
  assert.equal(idle.numbers().length, 0);
});

Deno.test("[P-6.6] the connection's credit holds for all its users together", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north", { credit: 3 * 41 });
  const apps = await crowd(world, wire, ["a", "b"]);
  await apps[0].subscribe("doors");
  await apps[1].subscribe("windows");
  const sender = await App.attach(world, world.connect(), "ana");
  for (let n = 0; n < 3; n++) {
    await sender.publish("doors", [n]);
    await sender.publish("windows", [n]);
  }
  assert.equal(wire.all("DELIVER").length, 3);
  await apps[0].credit(100 * 41, null);
  assert.deepEqual(apps[0].numbers(), [0, 1, 2]);
  assert.deepEqual(apps[1].numbers(), [0, 1, 2]);
});

Deno.test("[P-6.3] a backlog comes in the order of positions over all topics", async () => {
  await using world = await World.open();
  const reader = await App.attach(world, world.connect(), "ben", { credit: 0 });
  await reader.subscribe("#");
  const sender = await App.attach(world, world.connect(), "ana");
  for (let n = 0; n < 60; n++) {
    const bytes = n % 10 === 3 ? 70_000 : 3_000;
    await sender.publish(`t/${n % 7}`, [n], { bytes });
  }
  await reader.credit(1 << 30);
  assert.deepEqual(reader.numbers(), Array.from({ length: 60 }, (_, n) => n));
});

Deno.test("[P-7.1] CONFIRM comes when it is on disk, for all ACKs so far", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1, 2]);
  const { logId } = reader.deliveries()[0];
  const { wire } = reader;
  const ack = (number: number, offset: number) =>
    wire.send({
      type: "ACK",
      ref: 1,
      number,
      outcomes: [OUTCOME.delivered, logId, offset, offset + 1],
    });
  ack(1, 0);
  ack(2, 1);
  assert.deepEqual(wire.all("CONFIRM"), []);
  await world.settle();
  assert.deepEqual(wire.all("CONFIRM").map(({ number }) => number), [2]);
  ack(3, 0);
  await world.settle();
  assert.deepEqual(wire.all("CONFIRM").map(({ number }) => number), [2, 3]);
  assert.equal(world.check().totals.delivered, 2);
});

Deno.test("[P-7.3] an offset is settled once, with what came first", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1, 2, 3]);
  const { logId } = reader.deliveries()[0];
  await reader.acknowledge([
    ...[OUTCOME.schema, logId, 0, 1],
    ...[OUTCOME.delivered, logId, 0, 2],
    ...[OUTCOME.expired, logId, 1, 3],
    ...[OUTCOME.delivered, logId, 0, 1_000],
  ]);
  const { subscriptions: [row], deadLetters } = world.check();
  assert.deepEqual(
    [row.matched, row.deadLettered, row.delivered, row.expired],
    [3, 1, 1, 1],
  );
  assert.deepEqual(
    deadLetters.map(({ user, offset, reason }) => ({ user, offset, reason })),
    [{ user: "ben@direct", offset: 0, reason: "schema" }],
  );
});

Deno.test("[P-8.6] a user does not get its own messages but for echo", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  await app.subscribe("doors");
  await app.subscribe("windows", { echo: true });
  await app.publish("doors", [1]);
  await app.publish("windows", [2]);
  assert.deepEqual(app.numbers(), [2]);
  const { totals } = world.check();
  assert.deepEqual([totals.own, totals.pending], [1, 1]);
});

Deno.test("what is settled without a word from the client is on disk without one", async () => {
  await using folder = await TempFolder.make();
  {
    await using world = await World.open({ data: folder.path });
    const sender = await App.attach(world, world.connect(), "ana");
    const reader = await App.attach(world, world.connect(), "ben");
    await reader.subscribe("doors");
    sender.send("doors", [1], { attributes: new Map([[1, 0]]) });
    await world.store.committed();
    const { position } = world.store;
    assert.equal(world.check().totals.expired, 1);
    // Nobody asks for this commit but the core.
    await eventually("the commit", () => world.store.position > position);
    await world.crash();
  }
  await using world = await World.open({ data: folder.path });
  assert.equal(world.check().totals.expired, 1);
});

Deno.test("a message comes once however many of a user's filters match, and counts in each", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  for (const filter of ["a/b", "a/+", "#"]) await reader.subscribe(filter);
  await sender.publish("a/b", [1]);
  assert.deepEqual(reader.numbers(), [1]);
  await reader.acknowledgeAll();
  const rows = world.check().subscriptions;
  assert.deepEqual(rows.map(({ delivered }) => delivered), [1, 1, 1]);
});

Deno.test("[P-5.5] ATTACH again starts the flow anew, with what is not settled", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1, 2, 3]);
  const { logId } = reader.deliveries()[0];
  await reader.acknowledge([OUTCOME.delivered, logId, 0, 1]);
  reader.wire.clear();
  await reader.attachAgain({ create: false });
  assert.deepEqual(reader.numbers(), [2, 3]);
});

Deno.test("[P-2.3] a message that a broker does not get is refused", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  app.wire.send({ type: "CONFIRM", ref: 1, number: 1 });
  app.wire.send({ type: "INTRODUCE", producer: freshId(), user: "ben" });
  const codes = app.wire.all("ERROR").map(({ code }) => code);
  assert.deepEqual(codes, ["bad_message", "bad_message"]);
});
