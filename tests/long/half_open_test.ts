/**
 * What takes minutes: run by `deno task test:long`.
 */
import assert from "node:assert/strict";
import { eventually, pause, within } from "../helpers/eventually.ts";
import { range, take, takesNothing } from "../helpers/expect.ts";
import { Random } from "../helpers/random.ts";
import { RoughProxy } from "../helpers/rough_proxy.ts";
import { Cluster } from "../process/cluster.ts";
import { Guests } from "../process/guests.ts";
import { residentBytes } from "../process/resident_bytes.ts";

const ignore = Deno.env.get("MOM_TEST_LONG") !== "1" ||
  Deno.build.os === "windows";
const MEBIBYTE = 1024 * 1024;

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

Deno.test(
  "a link that falls silent is back within 30 s, and the daemon answers meanwhile",
  { ignore },
  async () => {
    await using proxy = new RoughProxy(new Random(1));
    await using cluster = await Cluster.start({
      machines: ["north"],
      linkThrough: { north: (broker) => proxy.standBefore(broker) },
    });
    await using guests = new Guests(cluster);
    const ana = await guests.connect(null, "ana");
    const ben = await guests.connect("north", "ben");
    await ana.subscribe("t");
    await ben.publish("t", 0, { level: "broker" });
    proxy.fallSilent();
    const startMs = performance.now();
    const times: number[] = [];
    let isBack = false;
    const back = within(
      "a new link",
      40_000,
      ben.publish("t", 1, { level: "broker" }),
    ).then(() => {
      isBack = true;
      return performance.now() - startMs;
    });
    let number = 2;
    while (!isBack) {
      const fromMs = performance.now();
      await ben.publish("t", number++);
      times.push(performance.now() - fromMs);
      await pause(100);
    }
    const backMs = await back;
    times.sort((left, right) => left - right);
    say(
      `back after ${Math.round(backMs)} ms; ${times.length} publishes ` +
        `meanwhile, slowest ${Math.round(times.at(-1)!)} ms, ` +
        `median ${times[times.length >> 1].toFixed(1)} ms`,
    );
    assert.ok(backMs < 30_000, `${Math.round(backMs)} ms`);
    assert.ok(times.at(-1)! < 1_000);
    const values = (await take(ana, number)).map(({ value }) => value);
    assert.deepEqual(values, range(number));
    await takesNothing(ana);
  },
);

Deno.test(
  "a daemon with fast publishers on a slow link, and a broker with a slow daemon, hold little in memory",
  { ignore },
  async () => {
    await using proxy = new RoughProxy(new Random(2));
    await using cluster = await Cluster.start({
      machines: ["north"],
      linkThrough: { north: (broker) => proxy.standBefore(broker) },
    });
    await using guests = new Guests(cluster);
    const pids = {
      broker: (await cluster.broker.program.ready()).pid,
      daemon: (await cluster.daemon("north").program.ready()).pid,
    };
    const zoe = await guests.connect("north", "zoe");
    await zoe.subscribe("down");
    const ben = await guests.connect("north", "ben");
    const eve = await guests.connect(null, "eve");
    // About 150 KB/s each way.
    proxy.weather = { drip: { bytes: 8_000, everyMs: 50 } };
    const bytes = crypto.getRandomValues(new Uint8Array(64_000));
    const rss: Record<string, number[]> = { broker: [], daemon: [] };
    let slowestMs = 0;
    for (let mebibytes = 0; mebibytes < 256; mebibytes += 16) {
      const fromMs = performance.now();
      const values = Array.from({ length: 256 }, () => bytes);
      await Promise.all([
        ben.publishMany("up", values),
        eve.publishMany("down", values),
      ]);
      slowestMs = Math.max(slowestMs, performance.now() - fromMs);
      for (const [name, pid] of Object.entries(pids)) {
        rss[name].push(Math.round(await residentBytes(pid) / MEBIBYTE));
      }
    }
    const { outbox } = await cluster.daemonStatus("north");
    say(
      `RSS in MiB, every 16 MiB: broker ${rss.broker.join(" ")}; ` +
        `daemon ${rss.daemon.join(" ")}; outbox ${
          Math.round((outbox?.bytes ?? 0) / MEBIBYTE)
        } MiB; slowest 16 MiB ${Math.round(slowestMs)} ms`,
    );
    for (const list of Object.values(rss)) {
      const half = list.length >> 1;
      const early = Math.max(...list.slice(0, half));
      const late = Math.max(...list.slice(half));
      assert.ok(late < early + 64, `grew from ${early} to ${late} MiB`);
      assert.ok(late < 400, `${late} MiB`);
    }
    assert.ok((outbox?.bytes ?? 0) > 128 * MEBIBYTE, "the outbox has it");
    // Good again: all of it goes on.
    proxy.weather = {};
    await eventually("an empty outbox", async () => {
      return (await cluster.daemonStatus("north")).outbox?.messages === 0;
    }, { timeoutMs: 60_000, intervalMs: 200 });
  },
);
