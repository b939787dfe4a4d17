import assert from "node:assert/strict";
import { MomError } from "../../mod.ts";
import { shardOf, TopicNames } from "../../coordinator/topics.ts";
import { eventually } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import { CoordinatorSet } from "./_set.ts";

/** A name of each shard. */
function nameIn(shard: number): string {
  for (let i = 0;; i++) if (shardOf(`n${i}`, 3) === shard) return `n${i}`;
}

async function killAll(set: CoordinatorSet): Promise<void> {
  await Promise.all(set.slots.map((slot) => slot.kill()));
}

async function startAll(set: CoordinatorSet): Promise<void> {
  await Promise.all(set.slots.map((slot) => slot.start()));
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    return error instanceof MomError ? error.code : String(error);
  }
}

Deno.test("[O-21] all coordinators dead and restarted: everything is as it was, who waits goes on waiting", async () => {
  await using set = await CoordinatorSet.start();
  const ana = await set.client("north");
  const ben = await set.client("south");
  const names = [1, 2, 3].map(nameIn);
  const held = [];
  for (const name of names) {
    await ana.semaphore(name).init(1);
    await ana.value(name).init({ name, list: [1, "x", null] });
    held.push(await ana.semaphore(name).wait());
  }
  const waiting = names.map((name) => ben.semaphore(name).wait());
  const impatient = codeOf(
    ben.semaphore(names[0]!).wait({ timeoutMs: 1_500 }),
  );
  for (let times = 0; times < 2; times++) {
    await killAll(set);
    await startAll(set);
  }
  assert.equal(await impatient, "timed_out");
  for (const name of names) {
    assert.deepEqual(await ben.value(name).read(), {
      name,
      list: [1, "x", null],
    });
    assert.equal(await codeOf(ben.semaphore(name).init(1)), "exists");
  }
  for (const permit of held) await permit.release();
  for (const [index, permit] of (await Promise.all(waiting)).entries()) {
    assert(permit.token > held[index]!.token);
    await permit.release();
  }
  // The one who gave up has taken nothing.
  await (await ana.semaphore(names[0]!).wait({ timeoutMs: 5_000 })).release();
});

Deno.test("[O-22] a coordinator that lost its mailbox begins from a snapshot, and the others with it gone do too", async () => {
  await using set = await CoordinatorSet.start({ leaseMs: 500 });
  const ana = await set.client("north");
  const value = ana.value<number>(nameIn(1));
  await value.init(0);
  // Far more than one snapshot's worth.
  for (let i = 1; i <= 1_200; i += 40) {
    await Promise.all(
      Array.from({ length: 40 }, (_, each) => value.write(i + each)),
    );
  }
  await set.slot(1).kill();
  const { user } = await set.destroyUser(1);
  assert.match(user, /^coordinator-3-1@/);
  const after = value.write(-1);
  await set.slot(1).start();
  await after;
  const line = await eventually(
    "the snapshot",
    () =>
      set.slot(1).program.stderr.split("\n")
        .find((line) => /"snapshot_adopted","shard":1/.test(line)),
  );
  assert(JSON.parse(line).next >= 1_000, line);
  // Now it alone has the shard: its other replica is dead.
  await set.slot(3).kill();
  assert.equal(await value.read(), -1);
});

Deno.test("[O-23] no message ends a coordinator or keeps it from its work", async () => {
  await using set = await CoordinatorSet.start({ leaseMs: 500 });
  const eve = await set.mom("east");
  const topics = new TopicNames(3, "");
  const random = new Random(23);
  const odd: unknown[] = [
    null,
    "",
    0,
    [],
    {},
    new Uint8Array(100),
    { v: 1, kind: "request", client: "0".repeat(32), session: 1, request: 1 },
    { v: 1, kind: "snapshot", next: 1e9 },
    { v: 2, kind: "takeover", coordinator: 1, incarnation: "x", renewal: 0 },
    { v: 1, kind: "lease", coordinator: 1, incarnation: "x", answered: 1e12 },
    { v: 1, kind: "want", coordinator: 77 },
    { v: 1, kind: "join", coordinator: 1, incarnation: "y" },
  ];
  const ana = await set.client("north");
  for (let i = 0; i < 200; i++) {
    const shard = random.integer(1, 3);
    const topic = random.chance(0.7)
      ? topics.log(shard)
      : random.chance(0.5)
      ? topics.snapshot(shard)
      : topics.reply(ana.client);
    await eve.publish(topic, random.pick(odd));
  }
  for (const shard of [1, 2, 3]) {
    const semaphore = ana.semaphore(nameIn(shard));
    await semaphore.init(1);
    await (await semaphore.wait()).release();
  }
  assert.deepEqual(set.slots.map(({ program }) => program.isOver), [
    false,
    false,
    false,
  ]);
  // What is odd in a mailbox does not hinder a start either.
  await killAll(set);
  await startAll(set);
  await (await ana.semaphore(nameIn(2)).wait()).release();
});
