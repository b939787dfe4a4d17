/**
 * What apps notice of a broker or daemon that is away: receipts of level
 * `daemon`, and nothing else.
 */
import assert from "node:assert/strict";
import type { Mom } from "../../mod.ts";
import { eventually } from "../helpers/eventually.ts";
import { range, take, takesNothing, takeValues } from "../helpers/expect.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";
import { residentBytes } from "../process/resident_bytes.ts";

const ANSWER_MS_MAX = 250;

/** Publishes one by one; gives how long each receipt took, all of level `daemon`. */
async function timePublishes(mom: Mom, count: number): Promise<number[]> {
  const times: number[] = [];
  for (const index of range(count)) {
    const startMs = performance.now();
    const { level } = await mom.publish("t", index);
    times.push(performance.now() - startMs);
    assert.equal(level, "daemon");
  }
  return times.sort((a, b) => a - b);
}

Deno.test("publish() answers `daemon` in 250 ms and receive() hands over what is there while the broker is away", async () => {
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana");
  const ben = await guests.connect("south", "ben");
  await ben.subscribe("t");
  await ana.publishMany("t", range(100), { level: "broker" });
  await eventually("100 messages at south", async () => {
    const { inbox } = await cluster.daemonStatus("south");
    return inbox?.messages === 100;
  });
  await cluster.broker.kill();
  assert.deepEqual(await takeValues(ben, 100), range(100));
  const times = await timePublishes(ana, 21);
  assert.ok(times[10] < ANSWER_MS_MAX, `took ${times.join(", ")} ms`);
  await takesNothing(ben, 20);
  await cluster.broker.start();
  assert.deepEqual(await takeValues(ben, 21), range(21));
});

Deno.test(
  "publish() answers `daemon` in 250 ms while the broker is there but does not answer",
  {
    ignore: Deno.build.os === "windows",
  },
  async () => {
    await using cluster = await Cluster.start({ machines: ["north"] });
    await using guests = new Guests(cluster);
    const ana = await guests.connect("north", "ana");
    const ben = await guests.connect("north", "ben");
    await ben.subscribe("t");
    assert.equal(
      (await ana.publish("t", "before", { level: "broker" })).level,
      "broker",
    );
    cluster.broker.program.signal("SIGSTOP");
    const times = await timePublishes(ana, 11);
    cluster.broker.program.signal("SIGCONT");
    assert.ok(times[5] < ANSWER_MS_MAX, `took ${times.join(", ")} ms`);
    assert.deepEqual(await takeValues(ben, 12), ["before", ...range(11)]);
  },
);

Deno.test("100,000 publishes while the broker is away arrive once and in order, the daemon killed in between", async () => {
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana");
  const ben = await guests.connect("south", "ben");
  await ben.subscribe("t");
  await cluster.broker.kill();
  const count = 100_000;
  const killAt = 40_000;
  let killing: Promise<unknown> | null = null;
  for (let from = 0; from < count; from += 5_000) {
    const values = range(5_000).map((index) => from + index);
    const publishing = ana.publishMany("t", values);
    // Right in the middle of a batch that has no answer yet.
    if (from === killAt) killing = cluster.daemon("north").restart();
    for (const { level } of await publishing) assert.equal(level, "daemon");
  }
  await killing;
  await cluster.broker.start();
  const messages = await take(ben, count, 30_000);
  messages.forEach((message, index) => {
    assert.equal(message.value, index);
    assert.equal(message.redelivered, false);
  });
  await takesNothing(ben, 100);
  const { subscriptions } = await eventually("rest", async () => {
    const status = await cluster.brokerStatus();
    return status.totals.pending === 0 && status;
  });
  assert.equal(subscriptions[0].delivered, count);
});

Deno.test("a subscriber that never reads slows nobody, on its machine or on others", async () => {
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  await using guests = new Guests(cluster);
  const writer = await guests.connect("north", "writer");
  for (const machine of ["south", null]) {
    const lazy = await guests.connect(machine, `lazy-${machine}`);
    await lazy.subscribe("t");
  }
  const readers = await Promise.all(["north", "south", null].map(
    async (machine) => {
      const reader = await guests.connect(machine, `keen-${machine}`);
      await reader.subscribe("t");
      return reader;
    },
  ));
  const value = new Uint8Array(20_000);
  const count = 2_000;
  const values = range(count).map(() => value);
  const [, ...taken] = await Promise.all([
    writer.publishMany("t", values, { level: "broker" }),
    ...readers.map((reader) => take(reader, count, 15_000)),
  ]);
  for (const messages of taken) assert.equal(messages.length, count);
});

Deno.test("1,000 idle connections cost a broker less than 100 MiB", {
  ignore: Deno.build.os === "windows",
}, async () => {
  await using cluster = await Cluster.start();
  await using guests = new Guests(cluster);
  const { pid } = await cluster.broker.program.ready();
  const first = await guests.connect(null, "first");
  await first.subscribe("t");
  const before = await residentBytes(pid);
  for (let group = 0; group < 10; group++) {
    await Promise.all(
      range(100).map((index) => guests.connect(null, `idle-${group}-${index}`)),
    );
  }
  const grown = (await residentBytes(pid)) - before;
  const last = await guests.connect(null, "last");
  await last.publish("t", "heard", { level: "broker" });
  assert.deepEqual(await takeValues(first, 1), ["heard"]);
  const mebibytes = Math.round(grown / 1024 / 1024);
  assert.ok(mebibytes < 100, `1,000 connections took ${mebibytes} MiB`);
});
