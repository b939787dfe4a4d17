import assert from "node:assert/strict";
import { CAST } from "./cast.ts";
import { countKills, makePlan } from "./plan.ts";

Deno.test("makePlan() gives the same plan for the same seed, and another for another", () => {
  const plan = (seed: number) => makePlan({ seed, appsToo: true });
  assert.deepEqual(plan(7), plan(7));
  assert.notDeepEqual(plan(7), plan(8));
});

Deno.test("makePlan() kills at least thrice in every round, everybody in some, several at once in some", () => {
  const victims = new Set<string>();
  let together = 0;
  for (let seed = 0; seed < 200; seed++) {
    const plan = makePlan({ seed, appsToo: true });
    assert.ok(countKills(plan) >= 3);
    const moments = [...plan.kills.values()].flat().map((kill) => kill.atMs);
    if (new Set(moments).size < moments.length) together++;
    for (const victim of plan.kills.keys()) victims.add(victim);
    const published = [...plan.jobs.values()]
      .reduce((sum, jobs) => sum + jobs[0].count, 0);
    assert.ok(published >= 1_000);
  }
  assert.ok(together > 50);
  const apps = CAST.map((role) => role.name);
  assert.deepEqual(
    [...victims].sort(),
    ["broker", "daemon north", "daemon south", ...apps].sort(),
  );
});

Deno.test("makePlan() spares the apps when they are to stay alive", () => {
  for (let seed = 0; seed < 50; seed++) {
    const { kills } = makePlan({ seed, appsToo: false });
    for (const { name } of CAST) assert.ok(!kills.has(name));
  }
});
