/**
 * What every client of the coordinators does, in the same form as
 * `behaviours.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Behaviour } from "./behaviours.ts";
import { eventually, pause } from "../helpers/eventually.ts";
import { type CoordinatorClient, failsWith, type World } from "./world.ts";

/** Of one that is killed: others wait for its end. */
const BRIEF_LEASE_MS = 1_000;
/** How often each client adds one. */
const ADDITIONS = 25;

async function clients(
  world: World,
): Promise<[ana: CoordinatorClient, ben: CoordinatorClient]> {
  await world.coordinators();
  return [
    await (await world.subject()).coordinate(),
    await (await world.partner()).coordinate(),
  ];
}

/** The semaphore is there, and so is what the client asked of it before. */
async function isThere(client: CoordinatorClient, name: string): Promise<void> {
  await failsWith("exists", client.semaphore(name, "init", 1));
}

/** Adds one to a value, holding a semaphore of one. */
async function addOne(
  client: CoordinatorClient,
  mutex: string,
  total: string,
): Promise<number> {
  const permit = await client.wait(mutex);
  const seen = await client.value(total, "read") as number;
  await client.value(total, "write", seen + 1);
  await client.release(permit);
  return permit.token;
}

/** The table. */
export const COORDINATOR_BEHAVIOURS: readonly Behaviour[] = [
  [
    "a semaphore lets in as many as it was made for, in order",
    async (world) => {
      const [ana, ben] = await clients(world);
      const name = world.name("Door");
      await failsWith("unknown_name", ana.wait(name));
      await failsWith("unknown_name", ana.semaphore(name, "signal"));
      await failsWith("option_invalid", ana.semaphore(name, "init", -1));
      await ana.semaphore(name, "init", 1);
      await failsWith("exists", ana.semaphore(name.toUpperCase(), "init", 1));
      const first = await ana.wait(name);
      await failsWith("timed_out", ana.wait(name, { timeoutMs: 50 }));
      await isThere(ben, name);
      const second = ben.wait(name.toLowerCase());
      // So that both stand in the queue in this order.
      await failsWith("timed_out", ben.wait(name, { timeoutMs: 100 }));
      await isThere(ben, name);
      const third = ana.wait(name);
      await ana.release(first);
      await ana.release(first);
      const tokens = [first.token, (await second).token];
      await ben.release(await second);
      tokens.push((await third).token);
      assert.deepEqual(tokens, [...tokens].sort((a, b) => a - b));
      assert.equal(new Set(tokens).size, 3);
      const late = failsWith("destroyed", ben.wait(name));
      await failsWith("timed_out", ben.wait(name, { timeoutMs: 100 }));
      await isThere(ben, name);
      await ana.semaphore(name, "destroy");
      await late;
      await failsWith("destroyed", ana.release(await third));
      await failsWith("unknown_name", ben.semaphore(name, "destroy"));
    },
  ],

  ["who takes what others signal gives nothing back", async (world) => {
    const [ana, ben] = await clients(world);
    const name = world.name("tours");
    await ben.semaphore(name, "init", 0);
    const taken = ana.wait(name, { consume: true });
    await ben.semaphore(name, "signal");
    await ana.release(await taken);
    await failsWith("timed_out", ben.wait(name, { timeoutMs: 50 }));
    await ana.semaphore(name, "signal");
    await ben.release(await ben.wait(name));
  }],

  [
    "a value is what was written last, whatever kind it is of",
    async (world) => {
      const [ana, ben] = await clients(world);
      const name = world.name("Free");
      await failsWith("unknown_name", ana.value(name, "read"));
      const values: unknown[] = [
        6,
        null,
        { bigint: "5" },
        { bytes: "00ff" },
        { date: 1_000 },
        { object: [["a", [1.5, "ä"]]] },
      ];
      await ana.value(name, "init", 0);
      await failsWith("exists", ben.value(name.toUpperCase(), "init", 0));
      for (const value of values) {
        await ana.value(name, "write", value);
        assert.deepEqual(await ben.value(name, "read"), value);
        assert.equal(await ben.value(name, "compareAndSet", value, 1), true);
        assert.equal(await ana.value(name, "compareAndSet", value, 2), false);
        assert.equal(await ana.value(name, "read"), 1);
      }
      await ben.value(name, "destroy");
      await failsWith("unknown_name", ana.value(name, "write", 1));
      await failsWith("name_invalid", ana.value("", "read"));
      await failsWith("name_invalid", ana.value("x".repeat(201), "read"));
    },
  ],

  [
    "its permits go to others when it ends, closed or by SIGKILL",
    async (world) => {
      const [ana, ben] = await clients(world);
      const name = world.name("door");
      await ana.semaphore(name, "init", 1);
      const held = await ana.wait(name);
      const queued = failsWith("closed", ana.wait(name));
      await ana.close();
      await queued;
      await failsWith("closed", ana.semaphore(name, "signal"));
      const next = await ben.wait(name);
      assert.ok(next.token > held.token);
      await ben.release(next);
      const again = await (await world.subject()).coordinate(BRIEF_LEASE_MS);
      const kept = await again.wait(name);
      // It holds it for as long as it lives.
      const timeoutMs = 1.5 * BRIEF_LEASE_MS;
      await failsWith("timed_out", ben.wait(name, { timeoutMs }));
      const waiting = ben.wait(name);
      await world.killSubject();
      assert.ok((await waiting).token > kept.token);
    },
  ],

  ["a sum comes out while coordinators are killed", async (world) => {
    const both = await clients(world);
    const [mutex, total] = [world.name("mutex"), world.name("total")];
    await both[0].semaphore(mutex, "init", 1);
    await both[1].value(total, "init", 0);
    let done = 0;
    const tokens: number[] = [];
    const adding = both.map(async (client) => {
      for (let i = 0; i < ADDITIONS; i++) {
        tokens.push(await addOne(client, mutex, total));
        done++;
      }
    });
    await eventually("half of it", () => done >= ADDITIONS);
    const coordinators = await world.coordinators();
    // Another one for each client that is looked at.
    const slot = coordinators[world.round % coordinators.length];
    await slot.kill();
    await pause(50);
    await slot.start();
    await Promise.all(adding);
    assert.equal(await both[0].value(total, "read"), 2 * ADDITIONS);
    assert.equal(new Set(tokens).size, 2 * ADDITIONS);
  }],
];
