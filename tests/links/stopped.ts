/**
 * A round in which broker, daemon and an app stand still, one after another, for
 * longer than it takes to be given up.
 *
 * @module
 */

import assert from "node:assert/strict";
import { makePlan } from "../faults/plan.ts";
import { playRound } from "../faults/round.ts";
import { Stage } from "../faults/stage.ts";

/** How long, and on what. */
export interface StoppedOptions {
  /** How long each of them stands still. */
  stoppedMs: number;
  isQuick: boolean;
}

const VICTIMS = ["broker", "daemon south", "ben"];

/** Plays it; everything must have been given up, come back, and be whole. */
export async function playStopped(options: StoppedOptions): Promise<string> {
  const { stoppedMs, isQuick } = options;
  await using stage = await Stage.open({ isQuick });
  const seed = Date.now() % 1_000_000;
  const plan = makePlan({ seed, appsToo: false, kills: false });
  const everyMs = stoppedMs * 1.25;
  VICTIMS.forEach((name, index) =>
    plan.stalls.set(name, [{
      atMs: 200 + index * everyMs,
      forMs: stoppedMs,
    }])
  );
  const durationMs = 200 + VICTIMS.length * everyMs;
  for (const jobs of plan.jobs.values()) {
    for (const job of jobs) job.durationMs = durationMs;
  }
  const startMs = performance.now();
  const report = await playRound(stage, plan, {
    workWithinMs: durationMs + 60_000,
  });
  assert.deepEqual(report.failures, [], `seed ${seed}`);
  const tookMs = performance.now() - startMs;
  await assertGivenUp(stage, tookMs - durationMs + everyMs * 2);
  const { attempts, tallies } = report.verdict;
  return `${attempts.acknowledged} acknowledged, ${attempts.unknown} unknown, ` +
    `${tallies.map(({ taken }) => taken).join("+")} taken, ` +
    `${tallies.map(({ again }) => again).join("+")} again, ` +
    `${Math.round(tookMs)} ms`;
}

/** The connections of all that stood still are newer than its stop. */
async function assertGivenUp(stage: Stage, southMs: number): Promise<void> {
  const { stderr } = stage.program("daemon north");
  assert.match(stderr, /silent for/, "the broker was given up");
  const south = await stage.cluster.daemonStatus("south");
  const link = south.link?.sinceMs ?? Infinity;
  assert.ok(link < southMs, `south's link is ${Math.round(link)} ms old`);
  const north = await stage.cluster.daemonStatus("north");
  const ben = north.sessions.find(({ users }) => users.includes("ben@north"));
  const ana = north.sessions.find(({ users }) => users.includes("ana@north"));
  assert.ok(ben!.connectedMs < ana!.connectedMs / 2, "ben was given up");
}
