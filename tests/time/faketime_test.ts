/** Real processes whose wall clock is set while they run, by libfaketime. */

import assert from "node:assert/strict";
import { eventually, pause } from "../helpers/eventually.ts";
import { range, take, takesNothing } from "../helpers/expect.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";

const LIBRARIES = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/faketime/libfaketimeMT.so.1",
];
const HOUR = 3_600_000;

/** Where libfaketime is; `null` where it is not installed. */
function findFaketime(): string | null {
  if (Deno.build.os !== "linux") return null;
  for (const path of LIBRARIES) {
    try {
      Deno.statSync(path);
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}

const library = findFaketime();
const missing = library === null ? " (skipped: no libfaketime here)" : "";

Deno.test(
  `broker and daemon whose wall clock is set an hour forth and back lose, double and expire nothing${missing}`,
  { ignore: library === null },
  async () => {
    const file = await Deno.makeTempFile({ prefix: "mom-time-" });
    const setClock = async (text: string) => {
      // In one step: libfaketime reads it at any moment.
      await Deno.writeTextFile(`${file}.new`, `${text}\n`);
      await Deno.rename(`${file}.new`, file);
    };
    await setClock("+0");
    try {
      await using cluster = await Cluster.start({
        machines: ["north"],
        env: {
          LD_PRELOAD: library!,
          FAKETIME_TIMESTAMP_FILE: file,
          FAKETIME_NO_CACHE: "1",
          FAKETIME_DONT_FAKE_MONOTONIC: "1",
          DONT_FAKE_MONOTONIC: "1",
        },
      });
      await playSteps(cluster, setClock);
    } finally {
      await Deno.remove(file);
    }
  },
);

async function playSteps(
  cluster: Cluster,
  setClock: (text: string) => Promise<void>,
): Promise<void> {
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana");
  const anon = await guests.connect(null);
  const ben = await guests.connect("north", "ben");
  for (const mom of [ana, anon]) await mom.subscribe("t");
  const steps = ["+1h", "-1h", "+1h", "-1h"];
  let number = 0;
  for (const step of steps) {
    await ben.publish("t", number++, { expiresMs: HOUR / 2 });
    await setClock(step);
    await ben.publish("t", number++, { expiresMs: HOUR / 2 });
    // Ticks of broker and daemon see the step.
    await pause(400);
  }
  const startMs = Date.now();
  const seen = new Set<number>();
  for (const mom of [ana, anon]) {
    const messages = await take(mom, number);
    assert.deepEqual(messages.map(({ value }) => value), range(number));
    let last = 0;
    for (const { time } of messages) {
      assert.ok(time >= last, "time fell");
      last = time;
      seen.add(Math.round((time - startMs) / HOUR));
    }
    await takesNothing(mom);
  }
  assert.ok(seen.has(1), "the broker's clock was an hour ahead");
  // A short deadline after all that comes in its time.
  await ana.close();
  await ben.publish("t", "short", { expiresMs: 200 });
  await pause(300);
  const back = await guests.connect("north", "ana");
  await takesNothing(back);
  const { link } = await cluster.daemonStatus("north");
  assert.equal(link?.state, "up");
  const stderr = cluster.daemon("north").program.stderr;
  assert.equal(stderr.match(/link_up/g)?.length, 1, "no reconnect");
  await eventually("all counted", async () => {
    const { totals } = await cluster.brokerStatus();
    return totals.expired === 1 && totals.dropped === 0;
  });
}
