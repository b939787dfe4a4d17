/**
 * The short form of `deno task soak`; run by `deno task test:long`.
 */
import assert from "node:assert/strict";
import { runSoak } from "../soak/soak.ts";

const ignore = Deno.env.get("MOM_TEST_LONG") !== "1" ||
  Deno.build.os !== "linux";

Deno.test(
  "a minute of half of full speed with a kill every 10 s loses, doubles and reorders nothing",
  {
    ignore,
  },
  async () => {
    const seed = Date.now() % 1_000_000;
    const report = await runSoak({
      durationMs: 60_000,
      killEveryMs: 10_000,
      fullSpeedMs: 5_000,
      fillMs: 0,
      seed,
    });
    assert.deepEqual(report.findings, [], `seed ${seed}`);
    assert.equal(report.kills, 5);
    assert.ok(report.taken > report.published);
    // A minute is too short for files and memory to have their final size.
    const leaks = report.rows.filter(({ figure, isFlat }) =>
      figure === "openFiles" && !isFlat
    );
    assert.deepEqual(leaks, []);
  },
);
