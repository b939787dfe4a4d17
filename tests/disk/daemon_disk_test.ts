import assert from "node:assert/strict";
import { findWrongSums } from "../../program/status.ts";
import { eventually } from "../helpers/eventually.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";
import { NumberedPublisher, NumberedReader } from "./_numbers.ts";
import { diskTest, SmallDisk } from "./_small_disk.ts";

/** A daemon whose data lies on a small disk, and handles at both ends. */
async function openOn(disk: SmallDisk) {
  const cluster = await Cluster.start({
    machines: ["north"],
    data: { north: `${disk.path}/data` },
  });
  const guests = new Guests(cluster);
  const connect = (machine: string | null, name: string) =>
    guests.connect(machine, name, { reconnectTimeoutMs: 30_000 });
  const reserve = `${disk.path}/data/reserve`;
  await eventually("the reserve", async () => {
    const size = (await Deno.stat(reserve).catch(() => null))?.size;
    return size === 1024 * 1024;
  });
  return {
    cluster,
    connect,
    async assertAlive(): Promise<void> {
      const { program } = cluster.daemon("north");
      assert.ok(!program.isOver, program.stderr);
      assert.deepEqual(findWrongSums(await cluster.brokerStatus()), []);
    },
    async [Symbol.asyncDispose]() {
      await guests[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

diskTest(
  "a daemon's outbox fills its disk, is drained on it, and nothing is lost",
  async () => {
    await using disk = await SmallDisk.make(16);
    await using all = await openOn(disk);
    const { cluster, connect } = all;
    const cy = await connect(null, "cy");
    await cy.subscribe("out");
    const reader = new NumberedReader(cy);
    const ana = await connect("north", "ana");
    const publisher = new NumberedPublisher(ana, "out", 2_000);
    await cluster.broker.kill();
    await publisher.fill(50);
    publisher.assertRefusedWith("storage_full");
    // Another program takes the rest: the outbox is drained all the same.
    await disk.fill();
    await cluster.daemon("north").restart();
    await cluster.broker.start();
    await reader.take(publisher.acknowledged);
    // The link is up: with a full disk the fast road is open.
    await publisher.publishAgain();
    await disk.empty();
    await cluster.broker.kill();
    await publisher.publishAgain();
    await cluster.broker.start();
    await reader.assertExactly(publisher);
    publisher.assertRefusedWith("storage_full");
    await all.assertAlive();
  },
);

diskTest(
  "on a full disk a daemon withholds credit, and hands over what is taken at once",
  async () => {
    await using disk = await SmallDisk.make(16);
    await using all = await openOn(disk);
    const { cluster, connect } = all;
    const idle = await connect("north", "idle");
    const busy = await connect("north", "busy");
    for (const each of [idle, busy]) await each.subscribe("in");
    const cy = await connect(null, "cy");
    // More than a user's credit.
    const publisher = new NumberedPublisher(cy, "in", 20_000);
    await disk.fill();
    const { program } = cluster.daemon("north");
    await eventually(
      "its notice",
      () => program.stderr.includes("storage_full"),
    );
    await publisher.publishMany(10);
    const taking = new NumberedReader(busy);
    for (let i = 0; i < 15; i++) await publisher.publishMany(10);
    await taking.assertExactly(publisher);
    const { inbox } = await cluster.daemonStatus("north");
    assert.equal(inbox?.messages, 0);
    assert.equal(publisher.refused.size, 0);
    // With room again what waits is stored by itself.
    await disk.empty();
    await eventually("the inbox", async () => {
      return (await cluster.daemonStatus("north")).inbox?.messages === 160;
    });
    await new NumberedReader(idle).assertExactly(publisher);
    await all.assertAlive();
  },
);

diskTest(
  "what is on its way when the link goes on a full disk is answered later, once",
  async () => {
    await using disk = await SmallDisk.make(16);
    await using all = await openOn(disk);
    const { cluster, connect } = all;
    const cy = await connect(null, "cy");
    await cy.subscribe("out");
    const ana = await connect("north", "ana");
    const publisher = new NumberedPublisher(ana, "out", 2_000);
    await disk.fill();
    // Stopped, not ended: publishes go out and no receipt comes.
    Deno.kill(cluster.broker.program.pid, "SIGSTOP");
    const flying = publisher.publishMany(50);
    await eventually("publishes at the daemon", async () => {
      const { outbox } = await cluster.daemonStatus("north");
      return outbox !== null;
    });
    await cluster.broker.kill();
    await eventually("the end of the link", async () => {
      return (await cluster.daemonStatus("north")).link?.state !== "up";
    });
    assert.equal(await publisher.publish(), "storage_full");
    await cluster.broker.start();
    assert.equal(await flying, 0, "none of them was refused");
    const reader = new NumberedReader(cy);
    await reader.assertExactly(publisher);
    await all.assertAlive();
  },
);
