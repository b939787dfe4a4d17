/**
 * Rows 10, 11, 13 and 15 of the original's behaviour: restarts, over real
 * processes.
 */
import assert from "node:assert/strict";
import type { Mom, MomError } from "../../mod.ts";
import { eventually, within } from "../helpers/eventually.ts";
import {
  range,
  rejectsWith,
  take,
  takesNothing,
  takeValues,
} from "../helpers/expect.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";

Deno.test("[O-10] a restarted broker has its users, subscriptions and logs, and new users inherit nothing", async () => {
  await using cluster = await Cluster.start();
  {
    await using guests = new Guests(cluster);
    const ana = await guests.connect(null, "ana");
    const ben = await guests.connect(null, "ben");
    await ana.subscribe("t");
    await ben.publishMany("t", range(5), { level: "broker" });
  }
  assert.equal((await cluster.broker.stop()).code, 0);
  await cluster.broker.start();
  await using guests = new Guests(cluster);
  const eve = await guests.connect(null, "eve");
  const nobody = await guests.connect(null);
  await takesNothing(eve);
  await rejectsWith("not_subscribed", eve.unsubscribe("t"));
  await takesNothing(nobody);

  const ana = await guests.connect(null, "ana");
  await rejectsWith("already_subscribed", ana.subscribe("t"));
  assert.deepEqual(await takeValues(ana, 5), range(5));
  await eve.subscribe("t", { from: "earliest" });
  assert.deepEqual(await takeValues(eve, 5), range(5));
});

Deno.test("[O-11] a daemon keeps what it holds over its own restart, each message for its own user", async () => {
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  {
    await using guests = new Guests(cluster);
    for (const name of ["ana", "ben"]) {
      const reader = await guests.connect("north", name);
      await reader.subscribe(`for/${name}`);
    }
    const cat = await guests.connect("south", "cat");
    for (const name of ["ana", "ben"]) {
      const values = range(50).map((index) => `${name} ${index}`);
      await cat.publishMany(`for/${name}`, values, { level: "broker" });
    }
    await waitForInbox(cluster, "north", 100);
  }
  await cluster.broker.kill();
  await cluster.daemon("north").restart();
  await using guests = new Guests(cluster);
  for (const name of ["ana", "ben"]) {
    const reader = await guests.connect("north", name);
    const values = await takeValues(reader, 50);
    assert.deepEqual(values, range(50).map((index) => `${name} ${index}`));
    await takesNothing(reader, 50);
  }
  await cluster.broker.start();
});

async function waitForInbox(
  cluster: Cluster,
  machine: string,
  messages: number,
): Promise<void> {
  await eventually(`${messages} messages at ${machine}`, async () => {
    const { inbox } = await cluster.daemonStatus(machine);
    return inbox?.messages === messages;
  });
}

Deno.test("[O-13] broker and daemon end at Ctrl+C with 0, and apps get an error, not an end", async () => {
  await using cluster = await Cluster.start({ machines: ["north"] });
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana", { reconnectTimeoutMs: 400 });
  const ben = await guests.connect("north", "ben");
  await ana.subscribe("t");

  const blocked = ana.receive();
  cluster.broker.program.signal("SIGINT");
  const ended = await within(
    "the broker's end",
    8_000,
    cluster.broker.program.ended,
  );
  assert.deepEqual([ended.code, ended.signal], [0, null]);
  await rejectsWith("broker_unavailable", ana.subscribe("u"));
  assert.equal((await ben.publish("t", 1)).level, "daemon");
  await cluster.broker.start();
  assert.equal((await blocked)?.value, 1);

  const orphaned = ana.receive();
  const refused = rejectsWith("daemon_unavailable", orphaned);
  cluster.daemon("north").program.signal("SIGINT");
  const { code } = await within(
    "the daemon's end",
    8_000,
    cluster.daemon("north").program.ended,
  );
  assert.equal(code, 0);
  const error = await within("the error", 8_000, refused);
  assert.equal(error.retriable, true);
  await rejectsWith("daemon_unavailable", ana.publish("t", 2));
  await cluster.daemon("north").start();
  await ben.publish("t", 3, { level: "broker" });
  assert.deepEqual(await takeWhenBack(ana), 3);
});

/** The next value, from a handle that may still be looking for its daemon. */
async function takeWhenBack(mom: Mom): Promise<unknown> {
  return await eventually(`${mom.user} to be back`, async () => {
    try {
      return (await take(mom, 1))[0].value;
    } catch (error) {
      if ((error as MomError).code === "daemon_unavailable") return null;
      throw error;
    }
  });
}

Deno.test("[O-13] a broker that is killed does not end a blocked receive", async () => {
  await using cluster = await Cluster.start({ machines: ["north"] });
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana");
  const ben = await guests.connect("north", "ben");
  await ana.subscribe("t");
  const blocked = ana.receive();
  await cluster.broker.restart();
  await cluster.daemon("north").restart();
  await ben.publish("t", "after both");
  assert.equal(
    (await within("a message", 15_000, blocked))?.value,
    "after both",
  );
});

Deno.test("[O-15] what was killed starts again at once, on the same address, with no cleaning", async () => {
  await using cluster = await Cluster.start({ machines: ["north"] });
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana");
  const eve = await guests.connect(null, "eve");
  await ana.subscribe("t");
  for (const round of range(3)) {
    const before = await cluster.broker.program.ready();
    await cluster.broker.kill();
    await cluster.daemon("north").kill();
    const [after] = await Promise.all([
      cluster.broker.start(),
      cluster.daemon("north").start(),
    ]);
    assert.equal(after.address, before.address);
    assert.notEqual(after.pid, before.pid);
    await eve.publish("t", round);
    assert.deepEqual((await take(ana, 1)).map((m) => m.value), [round]);
  }
});

Deno.test("[O-14] a machine that dies blocks nobody, and its users get everything when it is back", async () => {
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana");
  const cat = await guests.connect("south", "cat");
  const eve = await guests.connect(null, "eve");
  await ana.subscribe("t");
  await cat.subscribe("t");
  await cluster.daemon("north").kill();
  const count = 2_000;
  await eve.publishMany("t", range(count), { level: "broker" });
  assert.deepEqual(await takeValues(cat, count), range(count));
  const { subscriptions } = await cluster.brokerStatus("user=ana@north");
  assert.equal(subscriptions[0].pending, count);
  await cluster.daemon("north").start();
  assert.deepEqual(await takeValues(ana, count), range(count));
});
