/** What a step of the wall clock means for absence, retention and what is forgotten. */

import assert from "node:assert/strict";
import { App } from "../broker/_app.ts";
import { World } from "../broker/_world.ts";

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;

async function tick(world: World, lateMs?: number): Promise<void> {
  world.core.tick(lateMs);
  world.core.tickSlowly();
  await world.settle();
}

for (const stepMs of [HOUR, -HOUR, 100 * DAY, -100 * DAY]) {
  const step = `${stepMs / HOUR} hours`;
  Deno.test(`an unnamed user ends after its 60 s, no sooner and no later, though the clock steps ${step}`, async () => {
    await using world = await World.open();
    const app = await App.attach(world, world.connect(), "anon", {
      named: false,
    });
    app.wire.cut();
    world.time.nowMs += 30 * SECOND;
    world.time.stepMs += stepMs;
    await tick(world);
    world.time.nowMs += 29 * SECOND;
    await tick(world);
    assert.equal(world.core.userCount, 1);
    world.time.nowMs += SECOND;
    await tick(world);
    assert.equal(world.core.userCount, 0);
  });

  Deno.test(`nothing young is thrown away or forgotten because the clock steps ${step}`, async () => {
    await using world = await World.open();
    const app = await App.attach(world, world.connect(), "ana");
    const gone = await App.attach(world, world.connect(), "ben");
    const absent = await App.attach(world, world.connect(), "zoe");
    await absent.subscribe("doors");
    absent.wire.cut();
    await gone.publish("doors", [1], { bytes: 50_000 });
    await gone.publish("once", [1], { bytes: 50_000 });
    gone.wire.cut();
    for (const ms of [stepMs, -stepMs, stepMs]) {
      world.time.stepMs += ms;
      world.time.nowMs += HOUR;
      await app.publish("doors", [2], { bytes: 50_000 });
      await tick(world);
    }
    const { topics, totals } = world.check();
    assert.deepEqual(
      topics.map(({ topic, stored }) => [topic, stored]),
      [["doors", 4], ["once", 1]],
    );
    assert.equal(totals.dropped, 0);
    // A producer of 3 hours ago is known: what it sends again is no second message.
    const { handle } = gone;
    const back = await App.attach(world, world.connect(), "ben", { handle });
    const again = await back.publish("doors", [1], { first: 1 });
    assert.ok(again.type === "RECEIPT" && again.offset === null);
  });
}

Deno.test("what is old goes in its time, though the clock was set forth and back", async () => {
  await using world = await World.open({ retention: { keepMs: 10 * HOUR } });
  const app = await App.attach(world, world.connect(), "ana");
  for (let hour = 0; hour < 30; hour++) {
    await app.publish("doors", [hour], { bytes: 50_000 });
    world.time.stepMs += [HOUR, -HOUR][hour % 2];
    world.time.nowMs += HOUR;
    await tick(world);
  }
  const [row] = world.check().topics;
  assert.ok(row.stored >= 10 && row.stored <= 14, `${row.stored} stored`);
});

Deno.test("an absence does not count while the broker stood still", async () => {
  await using world = await World.open();
  const app = await App.attach(world, world.connect(), "anon", {
    named: false,
  });
  app.wire.cut();
  world.time.nowMs += 10 * SECOND;
  await tick(world);
  world.time.nowMs += 61 * SECOND;
  await tick(world, 60 * SECOND);
  assert.equal(world.core.userCount, 1);
  world.time.nowMs += 50 * SECOND;
  await tick(world);
  assert.equal(world.core.userCount, 0);
});

Deno.test("uptimeMs and connectedMs are passing time, whoever sets the clock", async () => {
  for (const stepMs of [3_600_000, -3_600_000]) {
    await using world = await World.open();
    world.connect();
    const session = () => world.check().sessions[0].connectedMs;
    world.time.nowMs += 1_000;
    world.time.stepMs += stepMs;
    assert.deepEqual([world.check().uptimeMs, session()], [1_000, 1_000]);
    world.core.tick();
    world.time.nowMs += 500;
    assert.deepEqual([world.check().uptimeMs, session()], [1_500, 1_500]);
  }
});
