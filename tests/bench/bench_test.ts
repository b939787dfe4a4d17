/**
 * The bench itself, as `deno task bench` runs it: one workload for a short time.
 */
import assert from "node:assert/strict";
import { TempFolder } from "../helpers/temp_folder.ts";
import config from "../../deno.json" with { type: "json" };
import { ROOT } from "../process/commands.ts";
import type { BenchRow } from "./row.ts";

/** Reading of other processes in /proc needs all permissions. */
const TASK = config.tasks.bench.split(" ").slice(1);

Deno.test("the bench measures a workload, checks it and writes its rows", async () => {
  await using folder = await TempFolder.make();
  const json = `${folder.path}/rows.json`;
  const line = "deliver --size 100 --seconds 0.5 --repeat 1 --json";
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...TASK, ...line.split(" "), json],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stderr));
  assert.match(decoder.decode(stdout), /^deliver +mom +daemons +100 /m);

  const report = JSON.parse(await Deno.readTextFile(json));
  assert.deepEqual(Object.keys(report).slice(0, 3), [
    "machine",
    "versions",
    "rows",
  ]);
  assert.deepEqual(report.failures, []);
  const rows: BenchRow[] = report.rows;
  const measured = rows.filter(({ workload }) => workload === "deliver");
  assert.deepEqual(measured.map(({ road }) => road), ["daemons", "direct"]);
  for (const row of measured) {
    assert.equal(row.peer, "mom");
    assert.equal(row.bytes, 100);
    assert.equal(row.unit, "messages/s");
    assert.equal(row.acknowledged, "disk");
    assert(row.min > 0 && row.min <= row.median && row.median <= row.max);
    assert.deepEqual([row.lost, row.reordered, row.failures], [0, 0, []]);
    if (Deno.build.os !== "linux") continue;
    assert(row.cpuSeconds["broker"]! >= 0);
    assert(row.peakMiB["writer"]! > 10);
  }
  assert.equal(rows.filter(({ workload }) => workload === "limits").length, 3);
});

Deno.test("the bench refuses what it does not know, with code 2", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...TASK, "fly"],
    cwd: ROOT,
  }).output();
  assert.equal(code, 2);
  assert.match(new TextDecoder().decode(stderr), /usage: deno task bench/);
});
