/**
 * What takes minutes: run by `deno task test:long`.
 */
import assert from "node:assert/strict";
import { eventually } from "../helpers/eventually.ts";
import { range, take } from "../helpers/expect.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";
import { residentBytes } from "../process/resident_bytes.ts";

const ignore = Deno.env.get("MOM_TEST_LONG") !== "1";
const MEBIBYTE = 1024 * 1024;

Deno.test(
  "1,000,000 messages for an absent user fit into 300 MiB of a broker that opens again in 2 s",
  {
    ignore: ignore || Deno.build.os === "windows",
  },
  async () => {
    const count = 1_000_000;
    const chunk = 10_000;
    await using cluster = await Cluster.start();
    {
      await using guests = new Guests(cluster);
      const ana = await guests.connect(null, "ana");
      await ana.subscribe("t");
    }
    await using guests = new Guests(cluster);
    const ben = await guests.connect(null, "ben");
    let peak = 0;
    for (let from = 0; from < count; from += chunk) {
      const values = range(chunk).map((index) => valueOf(from + index));
      await ben.publishMany("t", values, { level: "broker" });
      peak = Math.max(peak, await brokerBytes(cluster));
    }
    assertBelow(peak, 300 * MEBIBYTE, "resident bytes while publishing");

    await cluster.broker.kill();
    const startMs = performance.now();
    await cluster.broker.start();
    const openMs = performance.now() - startMs;
    assertBelow(openMs, 2_000, "ms to open again");

    const ana = await guests.connect(null, "ana");
    for (let from = 0; from < count; from += chunk) {
      const messages = await take(ana, chunk, 30_000);
      messages.forEach(({ value, offset }, index) => {
        assert.equal(value, valueOf(from + index));
        assert.equal(offset, from + index);
      });
      peak = Math.max(peak, await brokerBytes(cluster));
    }
    assertBelow(peak, 300 * MEBIBYTE, "resident bytes while catching up");
    await eventually("all delivered", async () => {
      const { totals } = await cluster.brokerStatus();
      return totals.delivered === count && totals.pending === 0;
    });
  },
);

/** 100 bytes as encoded. */
function valueOf(index: number): string {
  return String(index).padStart(98, "0");
}

function assertBelow(value: number, limit: number, what: string): void {
  assert.ok(value < limit, `${Math.round(value)} ${what}, limit ${limit}`);
}

async function brokerBytes(cluster: Cluster): Promise<number> {
  return await residentBytes((await cluster.broker.program.ready()).pid);
}
