import assert from "node:assert/strict";
import { ShardState } from "../../coordinator/core/state.ts";
import { shardOf } from "../../coordinator/topics.ts";
import type { Permit } from "../../coordinator/mod.ts";
import { findImpossible, type Hold } from "./history.ts";
import { type SimClient, type SimOptions, SimWorld } from "./_sim.ts";

const LOCK = "LOCK";
const COUNTER = "COUNTER";

function call(
  world: SimWorld,
  client: SimClient,
  fields: { op: string; name: string } & Record<string, unknown>,
  timeoutMs = 60_000,
): Promise<unknown> {
  const shard = shardOf(fields.name, world.of);
  return client.part.gate(
    client.lines.get(shard)!.call(fields, timeoutMs),
  );
}

async function close(client: SimClient): Promise<void> {
  for (const line of client.lines.values()) {
    await client.part.gate(line.close());
  }
}

/** A story that is over when its client is dead. */
function told(client: SimClient, story: Promise<void>): Promise<void> {
  const died = new Promise<void>((resolve) => client.part.onDeath(resolve));
  return Promise.race([story, died]);
}

/** Adds to the counter under the lock, as a careful app would. */
async function count(
  world: SimWorld,
  client: SimClient,
  times: number,
  holds: Hold[],
): Promise<void> {
  const { kernel } = world;
  for (let i = 0; i < times; i++) {
    const askedMs = kernel.nowMs;
    const permit = await call(
      world,
      client,
      { op: "semaphore_wait", name: LOCK },
      Infinity,
    ) as Permit;
    const gotMs = kernel.nowMs;
    const value = await call(world, client, {
      op: "value_read",
      name: COUNTER,
    });
    await call(world, client, {
      op: "value_write",
      name: COUNTER,
      value: Number(value) + 1,
    });
    const leftMs = kernel.nowMs;
    await client.part.gate(permit.release());
    const goneMs = kernel.nowMs;
    const { token } = permit;
    holds.push({ client: client.name, token, askedMs, gotMs, leftMs, goneMs });
  }
  await close(client);
}

/** Waits, gives up at times, forgets to give back, signals, consumes. */
async function wander(
  world: SimWorld,
  client: SimClient,
  times: number,
): Promise<void> {
  const random = world.random.fork();
  for (let i = 0; i < times; i++) {
    const consume = random.chance(0.2);
    const timeoutMs = random.chance(0.4) ? random.integer(1, 3_000) : Infinity;
    try {
      const permit = await call(
        world,
        client,
        { op: "semaphore_wait", name: LOCK, consume },
        timeoutMs,
      ) as Permit;
      await client.part.sleep(random.integer(0, 500));
      if (consume) {
        await call(world, client, { op: "semaphore_signal", name: LOCK });
      } else await client.part.gate(permit.release());
    } catch (error) {
      const { code } = error as { code?: string };
      const expected = ["timed_out", "lease_lost", "outcome_unknown"];
      if (!expected.includes(String(code))) throw error;
    }
  }
  await close(client);
}

async function prepare(world: SimWorld, lock: number): Promise<void> {
  const client = world.addClient();
  await call(world, client, {
    op: "semaphore_init",
    name: LOCK,
    value: lock,
  });
  await call(world, client, { op: "value_init", name: COUNTER, value: 0 });
  await close(client);
}

async function playCounter(options: SimOptions): Promise<string[]> {
  const world = new SimWorld(options);
  const holds: Hold[] = [];
  const story = (async () => {
    await prepare(world, 1);
    const clients = Array.from({ length: 4 }, () => world.addClient());
    await Promise.all(clients.map((each) => count(world, each, 8, holds)));
  })();
  const wrong = await world.play([story]);
  const shard = shardOf(COUNTER, world.of);
  const value = world.truth(shard).values.get(COUNTER);
  if (value !== 32) wrong.push(`the counter is ${value}, not 32`);
  wrong.push(...findImpossible(holds));
  return wrong;
}

async function playWandering(options: SimOptions): Promise<string[]> {
  const world = new SimWorld(options);
  let sent = 0;
  const story = (async () => {
    await prepare(world, 2);
    const clients = Array.from({ length: 5 }, () => world.addClient());
    await Promise.all(
      clients.map((each) => told(each, wander(world, each, 8))),
    );
    sent = clients.length;
  })();
  const wrong = await world.play([story]);
  assert.equal(sent > 0 || wrong.length > 0, true);
  const state = world.truth(shardOf(LOCK, world.of));
  const lock = state.semaphores.get(LOCK);
  if (state.sessions.size > 0) wrong.push("a session is left");
  if (lock?.waiters.length !== 0) wrong.push("somebody still waits");
  // Signals of what was consumed may be lost with their client, or be told of twice
  // what became of them; nothing else may.
  if (!options.clientStrikes && lock?.value !== 2) {
    wrong.push(`the lock is ${lock?.value}, not 2`);
  }
  return wrong;
}

async function playAll(
  play: (options: SimOptions) => Promise<string[]>,
  seeds: number,
  options: Omit<SimOptions, "seed">,
): Promise<void> {
  const first = Number(Deno.env.get("SIM_SEED") ?? 1);
  const end = first + Number(Deno.env.get("SIM_SEEDS") ?? seeds);
  for (let seed = first; seed < end; seed++) {
    const wrong = await play({ seed, ...options });
    assert.deepEqual(wrong.slice(0, 3), [], `SIM_SEED=${seed}`);
  }
}

Deno.test("[O-20] replies that get lost or come twice change nothing", async () => {
  await playAll(playCounter, 10, { strikes: false, replyTrouble: 0.5 });
});

Deno.test("[O-21] coordinators that die and stall at any moment execute nothing twice and lose nothing", async () => {
  await playAll(playCounter, 20, {});
});

Deno.test("[O-22] coordinators that miss records, die and come back are the same as the others", async () => {
  await playAll(playCounter, 10, { losses: true });
  await playAll(playWandering, 10, { of: 1 });
});

Deno.test("a wait that is gone swallows no grant", async () => {
  await playAll(playWandering, 15, {});
});

Deno.test("clients that die and stall leave nothing behind", async () => {
  await playAll(playWandering, 10, { clientStrikes: true });
});

/** How many of some worlds show that something is broken. */
async function findings(
  play: (options: SimOptions) => Promise<string[]>,
): Promise<number> {
  let found = 0;
  for (let seed = 1; seed <= 3; seed++) {
    const wrong = await play({ seed, eventsMax: 20_000 });
    if (wrong.length > 0) found++;
  }
  return found;
}

/** Breaks a method for as long as it is held. */
function broken<Name extends "addAnswer" | "addPermit">(name: Name) {
  const { prototype } = ShardState;
  const original = prototype[name];
  prototype[name] = () => {};
  return {
    [Symbol.dispose]() {
      prototype[name] = original;
    },
  };
}

Deno.test("canary: what executes a request twice is found", async () => {
  assert.equal(await findings(playCounter), 0);
  using _ = broken("addAnswer");
  assert(await findings(playCounter) > 0);
});

Deno.test("canary: what loses a grant is found", async () => {
  assert.equal(await findings(playWandering), 0);
  using _ = broken("addPermit");
  assert(await findings(playWandering) > 0);
});
