/**
 * The whole system in one process, many times over: 2,000 seeds by default,
 * `MOM_SIM_SEEDS` and `MOM_SIM_SEED` for others. What fails names its seed.
 */

import assert from "node:assert/strict";
import { testCommand } from "../process/commands.ts";
import { simulate } from "./simulate.ts";

const SEEDS = Number(Deno.env.get("MOM_SIM_SEEDS") ?? "2000");
const FIRST = Number(Deno.env.get("MOM_SIM_SEED") ?? "1");
const PROCESSES = 2;

/** Runs a share of the seeds in a process of its own; gives what it told. */
async function runShare(first: number, count: number): Promise<string> {
  const { program, args } = testCommand("tests/sim/main.ts");
  const child = new Deno.Command(program, {
    args: [...args, "--seed", `${first}`, "--seeds", `${count}`],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  const told = decoder.decode(stdout);
  return code === 0 ? "" : `${told}${decoder.decode(stderr)}`;
}

Deno.test("the same seed gives the same run", async () => {
  const seeds = [3, 8, 21, 34, 55];
  const first = [];
  for (const seed of seeds) first.push((await simulate(seed)).hash);
  const again = [];
  for (const seed of seeds.toReversed()) {
    again.unshift((await simulate(seed)).hash);
  }
  assert.deepEqual(again, first);
  assert.equal(new Set(first).size, seeds.length);
});

Deno.test(`no promise is broken in ${SEEDS} simulated worlds`, async () => {
  const share = Math.ceil(SEEDS / PROCESSES);
  const told = await Promise.all(
    Array.from(
      { length: PROCESSES },
      (_, n) => runShare(FIRST + n * share, share),
    ),
  );
  assert.equal(told.join(""), "");
});
