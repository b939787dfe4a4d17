import assert from "node:assert/strict";
import { findWrongSums } from "../../program/status.ts";
import { eventually } from "../helpers/eventually.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";
import { NumberedPublisher, NumberedReader } from "./_numbers.ts";
import { diskTest, SmallDisk } from "./_small_disk.ts";

/** A broker whose data lies on a small disk, a publisher and a reader. */
async function openOn(disk: SmallDisk) {
  const cluster = await Cluster.start({ data: { "": `${disk.path}/data` } });
  const guests = new Guests(cluster);
  const options = { reconnectTimeoutMs: 30_000 };
  const ana = await guests.connect(null, "ana", options);
  const ben = await guests.connect(null, "ben", options);
  await ben.subscribe("doors");
  return {
    cluster,
    publisher: (bytes: number) => new NumberedPublisher(ana, "doors", bytes),
    reader: new NumberedReader(ben),
    /** The broker has run on, and what it tells adds up. */
    async assertAlive(): Promise<void> {
      assert.ok(!cluster.broker.program.isOver, cluster.broker.program.stderr);
      assert.deepEqual(findWrongSums(await cluster.brokerStatus()), []);
    },
    async [Symbol.asyncDispose]() {
      await guests[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

for (
  const [mib, bytes, atOnce] of [
    [8, 1_000, 1],
    [16, 20_000, 20],
    [64, 8_000_000, 2],
  ]
) {
  diskTest(
    `a broker fills a disk of ${mib} MiB with ${bytes} bytes a message, and goes on`,
    async () => {
      await using disk = await SmallDisk.make(mib);
      await using all = await openOn(disk);
      const publisher = all.publisher(bytes);
      await publisher.fill(atOnce);
      publisher.assertRefusedWith("storage_full");
      // Acknowledgements go on, trims with them: there is room again.
      await all.reader.take(publisher.acknowledged);
      await publisher.publishAgain();
      await all.reader.assertExactly(publisher);
      publisher.assertRefusedWith("storage_full");
      await all.assertAlive();
    },
  );
}

diskTest(
  "a broker outlives a disk that others fill to the last byte, and a kill on it",
  async () => {
    await using disk = await SmallDisk.make(32);
    await using all = await openOn(disk);
    const { cluster, reader } = all;
    const publisher = all.publisher(2_000);
    await publisher.publishMany(200);
    const reserve = `${disk.path}/data/reserve`;
    const size = async () => (await Deno.stat(reserve).catch(() => null))?.size;
    await eventually(
      "the reserve",
      async () => await size() === 2 * 1024 * 1024,
    );
    await disk.fill();
    await publisher.fill(50);
    await reader.take(publisher.acknowledged);
    await eventually("the acknowledgements", async () => {
      const { totals } = await cluster.brokerStatus();
      return totals.pending === 0;
    });
    // Started anew it finds a full disk, and its reserve.
    await cluster.broker.restart();
    assert.equal(await publisher.publish(), "storage_full");
    await reader.assertExactly(publisher);
    await disk.empty();
    await publisher.publishAgain();
    await reader.assertExactly(publisher);
    publisher.assertRefusedWith("storage_full");
    await all.assertAlive();
  },
);

diskTest(
  "a broker whose reserve others take too waits, loses nothing, and goes on by itself",
  async () => {
    await using disk = await SmallDisk.make(16);
    await using all = await openOn(disk);
    const { reader } = all;
    const publisher = all.publisher(20_000);
    const stop = { isOver: false };
    const publishing = (async () => {
      while (!stop.isOver) await publisher.publishMany(10);
    })();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 5; i++) await disk.fill();
      await all.assertAlive();
      await disk.empty();
      await reader.take(publisher.acknowledged);
    }
    stop.isOver = true;
    await publishing;
    await reader.take(publisher.acknowledged);
    await publisher.publishAgain();
    await reader.assertExactly(publisher);
    publisher.assertRefusedWith("storage_full");
    await all.assertAlive();
  },
);

diskTest(
  "a broker on a full disk without a reserve does not start, and says why",
  async () => {
    await using disk = await SmallDisk.make(8);
    await disk.fill();
    const options = { data: { "": `${disk.path}/data` } };
    await assert.rejects(
      Cluster.start(options),
      /ended with 1 .*error: storage_full Cannot open store .*the disk is full/s,
    );
    await disk.empty();
    await using cluster = await Cluster.start(options);
    assert.ok(!cluster.broker.program.isOver);
  },
);
