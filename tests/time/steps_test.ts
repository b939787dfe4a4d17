import assert from "node:assert/strict";
import type { Message, Mom } from "../../mod.ts";
import { eventually, pause } from "../helpers/eventually.ts";
import { range, takesNothing, takeValues } from "../helpers/expect.ts";
import { SteppedSystem } from "./_stepped.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const STEPS = [HOUR, -HOUR, -HOUR, HOUR, HOUR, -HOUR];

/** What comes until `count` are there. */
async function receiveAll(mom: Mom, count: number): Promise<Message[]> {
  const all: Message[] = [];
  while (all.length < count) {
    const more = await mom.receiveMany({ max: 1_000, timeoutMs: 10_000 });
    assert.ok(more.length > 0, `${all.length} of ${count} came`);
    all.push(...more);
  }
  return all;
}

function assertTimesRise(messages: readonly Message[]): void {
  const last = new Map<string, number>();
  for (const { topic, time } of messages) {
    assert.ok(time >= (last.get(topic) ?? 0), `time fell within "${topic}"`);
    last.set(topic, time);
  }
}

Deno.test("a wall clock that is set forth and back disturbs no traffic", async () => {
  await using system = await SteppedSystem.start();
  const ana = await system.connect();
  const ben = await system.connect("ben");
  const eve = await system.connectDirect();
  for (const mom of [ana, eve]) await mom.subscribe("clock/+");
  const news: string[] = [];
  const listening = [ana, ben, eve].map(async (mom) => {
    for await (const { type } of mom.events()) news.push(type);
  });
  const links: string[] = [];
  const linking = (async () => {
    for await (const { type } of system.daemon.events()) links.push(type);
  })();
  const startMs = Date.now();
  const count = 60 * STEPS.length;
  const publishing = (async () => {
    for (const number of range(count)) {
      if (number % 60 === 30) system.clock.step(STEPS[(number - 30) / 60]);
      const expiresMs = number % 2 === 0 ? 2 * MINUTE : undefined;
      await ben.publish(`clock/${number % 3}`, number, { expiresMs });
      if (number % 20 === 0) await pause(20);
    }
  })();
  const [atAna, atEve] = await Promise.all([
    receiveAll(ana, count),
    receiveAll(eve, count),
    publishing,
  ]);
  for (const messages of [atAna, atEve]) {
    assert.deepEqual(messages.map(({ value }) => value), range(count));
    assertTimesRise(messages);
    for (const { time } of messages) {
      assert.ok(Math.abs(time - startMs) < HOUR + MINUTE, "off by the step");
    }
  }
  assert.deepEqual([news, links], [[], []], "nobody connected anew");
  const { totals, topics } = system.broker.status();
  assert.equal(totals.expired, 0);
  assert.ok(topics.every(({ stored, published }) => stored === published));
  for (const mom of [ana, ben, eve]) await mom.close();
  await Promise.all(listening);
  await system.daemon.stop();
  await linking;
});

/** Where a message with a deadline waits. */
const PLACES: Record<string, (system: SteppedSystem) => Promise<Waiting>> = {
  "at the broker": async (system) => {
    const zoe = await system.connectDirect("zoe");
    await zoe.subscribe("t");
    await zoe.close();
    const ben = await system.connectDirect("ben");
    return {
      publish: async (value, expiresMs) =>
        void await ben.publish("t", value, { expiresMs, level: "broker" }),
      open: () => system.connectDirect("zoe"),
      restart: async () => {
        await ben.close();
        await system.broker.stop();
        return () => system.startBroker();
      },
    };
  },
  "in the daemon's inbox": async (system) => {
    const zoe = await system.connect("zoe");
    await zoe.subscribe("t");
    await zoe.close();
    const ben = await system.connectDirect("ben");
    let count = 0;
    return {
      publish: async (value, expiresMs) => {
        await ben.publish("t", value, { expiresMs, level: "broker" });
        count++;
        await eventually(
          "custody",
          () => system.daemon.status().inbox?.messages === count,
        );
      },
      open: () => system.connect("zoe"),
      restart: async () => {
        await system.daemon.stop();
        return () => system.startDaemon();
      },
    };
  },
  "in the daemon's outbox": async (system) => {
    const zoe = await system.connect("zoe");
    await zoe.subscribe("t");
    const ben = await system.connect("ben");
    await system.broker.stop();
    return {
      publish: async (value, expiresMs) =>
        void await ben.publish("t", value, { expiresMs }),
      open: async () => {
        await system.startBroker();
        return zoe;
      },
      restart: async () => {
        await system.daemon.stop();
        return () => system.startDaemon();
      },
    };
  },
};

interface Waiting {
  publish(value: string, expiresMs: number): Promise<void>;
  /** The handle that the message is for. */
  open(): Promise<Mom>;
  /** Stops who has the message; gives what starts it again. */
  restart(): Promise<() => Promise<void>>;
}

for (const [place, wait] of Object.entries(PLACES)) {
  Deno.test(`a deadline ${place} comes when its time is over, though the clock is set back and forth`, async () => {
    await using system = await SteppedSystem.start();
    const waiting = await wait(system);
    system.clock.step(HOUR);
    await waiting.publish("short", 300);
    system.clock.step(-HOUR);
    await waiting.publish("long", 10 * MINUTE);
    system.clock.step(-HOUR);
    await waiting.publish("brief", 300);
    system.clock.step(3 * HOUR);
    await pause(320);
    const zoe = await waiting.open();
    assert.deepEqual(await takeValues(zoe, 1), ["long"]);
    await takesNothing(zoe);
    await eventually("two expired", () => {
      const { expired, pending } = system.broker.status({ user: zoe.user })
        .subscriptions[0];
      return expired === 2 && pending === 0;
    });
  });

  Deno.test(`a deadline ${place} is early or late by no more than the step made while nobody ran`, async () => {
    await using system = await SteppedSystem.start();
    const waiting = await wait(system);
    // A step while it runs counts for what was there before, and not for this.
    await waiting.publish("before", 3 * HOUR);
    system.clock.step(HOUR);
    await waiting.publish("kept", HOUR + 10 * MINUTE);
    await waiting.publish("over", 30 * MINUTE);
    const start = await waiting.restart();
    system.clock.step(HOUR);
    await start();
    const zoe = await waiting.open();
    assert.deepEqual(await takeValues(zoe, 2), ["before", "kept"]);
    await takesNothing(zoe);
  });

  Deno.test(`a deadline ${place} comes although the clock was set back while nobody ran`, async () => {
    await using system = await SteppedSystem.start();
    const waiting = await wait(system);
    await waiting.publish("short", 700);
    await waiting.publish("long", 10 * MINUTE);
    const start = await waiting.restart();
    system.clock.step(-HOUR);
    await start();
    await pause(720);
    const zoe = await waiting.open();
    assert.deepEqual(await takeValues(zoe, 1), ["long"]);
    await takesNothing(zoe);
  });
}
