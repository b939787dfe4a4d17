/**
 * The museum and the philosophers with many seeds; run by
 * `deno task test:long`.
 */
import assert from "node:assert/strict";
import { Playing, type SimulationTask } from "../examples/played.ts";

const ignore = Deno.env.get("MOM_TEST_LONG") !== "1" ||
  Deno.build.os !== "linux";

async function playAll(
  task: SimulationTask,
  seeds: number,
  args: readonly string[],
): Promise<void> {
  for (let seed = 1; seed <= seeds; seed++) {
    const all = ["--seed", `${seed}`, "--speed", "50", ...args];
    await using playing = await Playing.start(task, all);
    const { code, lines, stderr, leftovers } = await playing.end(300_000);
    const told = [...lines.slice(-40), stderr].join("\n");
    assert.equal(code, 0, `${task} ${all.join(" ")}\n${told}`);
    assert.deepEqual(leftovers, [], `${task} ${all.join(" ")}`);
  }
}

Deno.test(
  "the museum keeps all conditions with 30 seeds",
  { ignore },
  () => playAll("museum", 30, []),
);

Deno.test(
  "30 philosophers keep all conditions with 10 seeds",
  { ignore },
  () => playAll("philosophers", 10, []),
);

Deno.test(
  "30 philosophers keep all conditions with 10 seeds while coordinators are killed",
  { ignore },
  () => playAll("philosophers", 10, ["--kill-coordinator"]),
);
