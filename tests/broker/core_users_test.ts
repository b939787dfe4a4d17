/** Users at the core: coming, going, coming back, and what was handed over before. */

import assert from "node:assert/strict";
import { OUTCOME, TARGET_FLAG } from "../../protocol/messages.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { App } from "./_app.ts";
import { idOf } from "./_records.ts";
import { freshId } from "./_sim_handle.ts";
import { World } from "./_world.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

Deno.test("[P-5.2] ATTACH makes a user once; then its incarnation has to fit", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  assert.equal(app.attached.user, "ana@direct");
  assert.deepEqual(app.attached.incarnation, app.incarnation);
  app.wire.cut();
  const other = freshId();
  const again = await App.attach(world, world.connect(), "ana", {
    incarnation: other,
  });
  assert.deepEqual(again.attached.incarnation, app.incarnation);
  again.wire.cut();
  const wrong = await App.attach(world, world.connect(), "ana", {
    incarnation: other,
    create: false,
  });
  assert.equal(wrong.wire.all("ERROR")[0].code, "user_expired");
});

Deno.test("[P-5.1] an app's connection carries one user", async () => {
  await using world = await World.open();
  const wire = world.connect();
  await App.attach(world, wire, "ana");
  await App.attach(world, wire, "ben", { ref: 2 });
  assert.equal(wire.all("ERROR")[0].code, "bad_message");
});

Deno.test("[P-5.4] another handle of an attached user finds a rival, the same one takes over", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const wire = world.connect();
  const attach = {
    type: "ATTACH" as const,
    request: 1,
    ref: 1,
    name: "ana",
    named: true,
    incarnation: freshId(),
    create: true,
    handle: freshId(),
    credit: 0,
    known: [],
  };
  assert.equal(world.core.rivalOf(wire.session, attach), app.wire.session);
  const same = { ...attach, handle: app.handle };
  assert.equal(world.core.rivalOf(wire.session, same), null);
  wire.send(same);
  await world.settle();
  assert.ok(app.wire.isClosed);
  assert.equal(wire.all("ATTACHED").length, 1);
});

Deno.test("[P-5.2] a direct handle does not come back after another took its name", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  app.wire.cut();
  const other = await App.attach(world, world.connect(), "ana");
  other.wire.cut();
  const wire = world.connect();
  wire.send({
    type: "ATTACH",
    request: 1,
    ref: 1,
    name: "ana",
    named: true,
    incarnation: app.attached.incarnation,
    create: false,
    handle: app.handle,
    credit: 0,
    known: [],
  });
  await world.settle();
  assert.equal(wire.all("ERROR")[0]?.code, "user_expired");
});

Deno.test("[P-5.7] another handle gets flagged what an earlier one may have had", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const first = await App.attach(world, world.connect(), "ben");
  await first.subscribe("doors");
  await sender.publish("doors", [1, 2]);
  first.wire.cut();
  await sender.publish("doors", [3]);
  const second = await App.attach(world, world.connect(), "ben");
  assert.deepEqual(second.numbers(), [1, 2, 3]);
  const { suspect } = second.attached;
  const isFlagged = second.deliveries().map(({ position, targets }) => [
    position <= suspect,
    (targets[1] & TARGET_FLAG.redelivered) !== 0,
  ]);
  assert.deepEqual(isFlagged, [[true, true], [false, false]]);
});

Deno.test("[P-5.7] the same handle is not flagged what it did not take", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1]);
  reader.wire.cut();
  const { handle, incarnation } = reader;
  const again = await App.attach(world, world.connect(), "ben", {
    handle,
    incarnation,
    create: false,
  });
  assert.deepEqual(again.numbers(), [1]);
  assert.equal(again.attached.suspect, 0);
});

Deno.test("a handle that left with nothing open leaves nothing to flag", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1]);
  await reader.acknowledgeAll();
  assert.equal(await reader.ask({ type: "DETACH", ref: 1 }), "OK");
  reader.wire.cut();
  await sender.publish("doors", [2]);
  const next = await App.attach(world, world.connect(), "ben");
  assert.deepEqual(next.numbers(), [2]);
  assert.equal(next.attached.suspect, 0);
});

Deno.test("after a restart of the broker another handle is flagged all that was there", async () => {
  await using folder = await TempFolder.make();
  {
    await using world = await World.open({ data: folder.path });
    const sender = await App.attach(world, world.connect(), "ana");
    const reader = await App.attach(world, world.connect(), "ben");
    await reader.subscribe("doors");
    await sender.publish("doors", [1]);
    assert.deepEqual(reader.numbers(), [1]);
  }
  await using world = await World.open({ data: folder.path });
  const next = await App.attach(world, world.connect(), "ben");
  assert.deepEqual(next.numbers(), [1]);
  assert.ok(next.deliveries()[0].position <= next.attached.suspect);
});

Deno.test("[P-5.6] what a handle took, holds or has in custody is not sent again", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const wire = world.connectDaemon("north");
  const reader = await App.attach(world, wire, "ben", { ref: 4 });
  await reader.subscribe("doors");
  await sender.publish("doors", [0, 1, 2, 3, 4, 5]);
  const { logId } = reader.deliveries()[0];
  wire.clear();
  await reader.attachAgain({
    create: false,
    known: [
      ...[OUTCOME.delivered, logId, 0, 1],
      ...[OUTCOME.held, logId, 1, 2],
      ...[OUTCOME.custody, logId, 3, 4],
    ],
  });
  assert.deepEqual(reader.numbers(), [2, 4, 5]);
  const [row] = world.check().subscriptions;
  assert.deepEqual([row.delivered, row.pending], [1, 5]);
});

Deno.test("[P-5.6] what is known of another epoch is ignored", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1]);
  const { logId } = reader.deliveries()[0];
  reader.wire.clear();
  await reader.attachAgain({
    known: [OUTCOME.delivered, logId + 2 ** 21, 0, 1],
  });
  assert.deepEqual(reader.numbers(), [1]);
});

Deno.test("[P-5.8] an unnamed direct user ends 60 s after its connection", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "anon", {
    named: false,
  });
  await app.subscribe("doors");
  world.time.nowMs += 10 * MINUTE_MS;
  world.core.tick();
  app.wire.cut();
  world.time.nowMs += MINUTE_MS - 1;
  world.core.tick();
  const { handle, incarnation } = app;
  const back = { named: false, create: false, handle, incarnation };
  const again = await App.attach(world, world.connect(), "anon", back);
  assert.equal(again.wire.all("ATTACHED").length, 1);
  again.wire.cut();
  world.time.nowMs += MINUTE_MS;
  world.core.tick();
  await world.settle();
  const late = await App.attach(world, world.connect(), "anon", back);
  assert.equal(late.wire.all("ERROR")[0].code, "user_expired");
});

Deno.test("[P-5.8] an unnamed direct user has its 60 s whatever the wall clock does", async () => {
  for (const stepMs of [-60 * MINUTE_MS, 60 * MINUTE_MS]) {
    await using world = await World.open();
    const app = await App.attach(world, world.connect(), "anon", {
      named: false,
    });
    app.wire.cut();
    world.time.stepMs = stepMs;
    world.time.nowMs += MINUTE_MS - 1;
    world.core.tick();
    assert.equal(world.core.userCount, 1);
    world.time.nowMs += 1;
    world.core.tick();
    assert.equal(world.core.userCount, 0);
  }
});

Deno.test("[P-5.8] an unnamed direct user has its 60 s after a restart of the broker too", async () => {
  await using folder = await TempFolder.make();
  const nowMs = 1_700_000_000_000;
  {
    await using world = await World.open({ data: folder.path, nowMs });
    await App.attach(world, world.connect(), "anon", { named: false });
    await App.attach(world, world.connect(), "ana");
  }
  const later = { data: folder.path, nowMs: nowMs + 10 * MINUTE_MS };
  await using world = await World.open(later);
  world.core.tick();
  await world.settle();
  assert.equal(world.core.userCount, 2);
  world.time.nowMs += MINUTE_MS;
  world.core.tick();
  await world.settle();
  assert.equal(world.core.userCount, 1);
});

Deno.test("[P-5.8] a machine's unnamed user outlives its link, for a week", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north");
  await App.attach(world, wire, "anon", { ref: 1, named: false });
  wire.cut();
  world.time.nowMs += 7 * DAY_MS - 1;
  world.core.tick();
  assert.equal(world.core.userCount, 1);
  world.time.nowMs += 1;
  world.core.tick();
  await world.settle();
  assert.equal(world.core.userCount, 0);
});

Deno.test("[P-5.8] DETACH ends an unnamed direct user at once", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "anon", {
    named: false,
  });
  await app.subscribe("doors");
  assert.equal(await app.ask({ type: "DETACH", ref: 1 }), "OK");
  assert.equal(world.core.userCount, 0);
  assert.deepEqual(world.check().subscriptions, []);
});

Deno.test("[P-5.9] DESTROY drops what waits, and the totals keep it", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1, 2, 3]);
  const { logId } = reader.deliveries()[0];
  await reader.acknowledge([OUTCOME.delivered, logId, 0, 1]);
  const destroy = { type: "DESTROY", name: "ben" };
  const wrong = await reader.ask({ ...destroy, incarnation: idOf(77) });
  assert.equal(wrong, "OK");
  assert.equal(world.core.userCount, 2);
  const { incarnation } = reader.attached;
  assert.equal(await reader.ask({ ...destroy, incarnation }), "OK");
  assert.equal(world.core.userCount, 1);
  const { subscriptions, totals } = world.check();
  assert.deepEqual(subscriptions, []);
  assert.deepEqual([totals.matched, totals.delivered], [3, 1]);
  assert.deepEqual(totals.droppedReasons, { destroyed: 2 });
});

Deno.test("[P-5.9] DESTROY without an incarnation spares the one that it names in unless", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north");
  const incarnation = idOf(7);
  await App.attach(world, wire, "ana", { incarnation });
  const destroy = { type: "DESTROY", request: 9, name: "ana" } as const;
  wire.send({ ...destroy, incarnation: null, unless: idOf(7) });
  await world.settle();
  assert.equal(world.core.userCount, 1);
  wire.send({ ...destroy, incarnation: null, unless: idOf(8) });
  await world.settle();
  assert.equal(world.core.userCount, 0);
});

Deno.test("[P-5.9] DESTROY of a user that is nowhere is answered with OK", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  const answer = await app.ask({
    type: "DESTROY",
    name: "nobody",
    incarnation: null,
  });
  assert.equal(answer, "OK");
});

Deno.test("[P-7.8] a machine with a new key has lost what it had in custody", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const wire = world.connectDaemon("north", { machineKey: idOf(1) });
  const reader = await App.attach(world, wire, "ben", { ref: 2 });
  await reader.subscribe("doors");
  await sender.publish("doors", [1, 2, 3, 4]);
  const { logId } = reader.deliveries()[0];
  await reader.acknowledge([OUTCOME.custody, logId, 0, 3]);
  await reader.acknowledge([OUTCOME.delivered, logId, 1, 2]);
  wire.cut();
  const lost = world.connectDaemon("north", { machineKey: idOf(2) });
  const again = await App.attach(world, lost, "ben", { ref: 2 });
  assert.deepEqual(again.numbers(), [4]);
  const [row] = world.check().subscriptions;
  assert.deepEqual([row.delivered, row.pending, row.dropped], [1, 1, 2]);
  assert.deepEqual(row.droppedReasons, { machine_lost: 2 });
});

Deno.test("[P-7.4] custody of a direct app is no custody", async () => {
  await using world = await World.open();
  const sender = await App.attach(world, world.connect(), "ana");
  const reader = await App.attach(world, world.connect(), "ben");
  await reader.subscribe("doors");
  await sender.publish("doors", [1]);
  await reader.acknowledgeAll(OUTCOME.custody);
  reader.wire.cut();
  const next = await App.attach(world, world.connect(), "ben");
  assert.deepEqual(next.numbers(), [1]);
});

Deno.test("[P-8.7] a daemon publishes for the producers that it introduced", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north");
  const ana = await App.attach(world, wire, "ana", { ref: 1 });
  await ana.subscribe("doors");
  const producer = freshId();
  const refused = await ana.publish("doors", [1], { producer, first: 1 });
  assert.equal(refused.type === "ERROR" && refused.code, "bad_message");
  wire.send({ type: "INTRODUCE", producer, user: "ben@north" });
  await ana.publish("doors", [1], { producer, first: 1 });
  const mine = freshId();
  wire.send({ type: "INTRODUCE", producer: mine, user: "ana" });
  await ana.publish("doors", [2], { producer: mine, first: 1 });
  assert.deepEqual(ana.numbers(), [1]);
  assert.equal(ana.deliveries()[0].sender, "ben@north");
  assert.equal(await ana.ask({ type: "ENDED", producer }), "OK");
  wire.send({ type: "INTRODUCE", producer, user: "ben" });
  const fresh = await ana.publish("doors", [3], { producer, first: 1 });
  assert.ok(fresh.type === "RECEIPT" && fresh.offset === 2);
});

Deno.test("an ACK or CREDIT that crosses a DETACH is no error", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "ana");
  await app.ask({ type: "DETACH", ref: 1 });
  app.wire.clear();
  await app.acknowledge([OUTCOME.delivered, 1, 0, 1]);
  await app.credit(100);
  assert.deepEqual(app.wire.inbox, []);
});
