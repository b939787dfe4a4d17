/**
 * One round of a fault run: everybody writes, some are killed and come back, all
 * comes to rest, and what was noted is judged.
 *
 * @module
 */

import { eventually, pause, within } from "../helpers/eventually.ts";
import type { Slot } from "../process/slot.ts";
import { checkCounts, checkSums } from "./equations.ts";
import { type Excuse, FINDING_KINDS, judge, type Verdict } from "./judge.ts";
import { brokenNotes, toHistory } from "./notes.ts";
import type { Kill, Plan, Stall } from "./plan.ts";
import type { Stage } from "./stage.ts";

/** What became of a round. */
export interface RoundReport {
  /** Empty: every promise was kept. */
  failures: string[];
  /** Over all rounds on this stage. */
  verdict: Verdict;
}

/** Limits of a round. */
export interface RoundOptions {
  /** How long the system has to come to rest. @default {30_000} */
  restWithinMs?: number;
  /** What happens beside the plan; told when the round began. */
  meanwhile?: (startMs: number) => Promise<void>;
  /** Asked when all has come to rest. @default {nothing is excused} */
  excuse?: () => Excuse;
  /** How long the work may take. @default {60_000} */
  workWithinMs?: number;
}

/** How many findings of one kind a report tells in full. */
const SHOWN_MAX = 8;

/** Plays a plan. */
export async function playRound(
  stage: Stage,
  plan: Plan,
  options: RoundOptions = {},
): Promise<RoundReport> {
  const {
    restWithinMs = 30_000,
    workWithinMs = 60_000,
    meanwhile,
    excuse,
  } = options;
  const startMs = performance.now();
  const works = [
    meanwhile?.(startMs) ?? Promise.resolve(),
    ...stage.apps.map((app) => playApp(stage, plan, app.role.name, startMs)),
    ...stage.programs.map((slot) =>
      playProgram(slot, plan.kills.get(slot.name) ?? [], startMs)
    ),
    ...[...plan.stalls].map(([name, stalls]) =>
      playStalls(stage, name, stalls, startMs)
    ),
  ];
  await within("the work of a round", workWithinMs, Promise.all(works));
  const failures: string[] = [];
  try {
    await eventually("rest", () => stage.isAtRest(), {
      timeoutMs: restWithinMs,
      intervalMs: 60,
    });
  } catch (error) {
    failures.push(`${error}`, ...await stage.describe());
  }
  return await conclude(stage, failures, excuse?.());
}

/** Judges all notes so far, and the broker's sums. */
async function conclude(
  stage: Stage,
  failures: string[],
  excuse?: Excuse,
): Promise<RoundReport> {
  const lives = (await Promise.all(stage.apps.map((app) => app.notes())))
    .flat();
  const history = toHistory(lives);
  const verdict = judge(history, excuse);
  const sums = await stage.cluster.brokerStatus();
  const findings = FINDING_KINDS.flatMap((kind) =>
    shorten(
      verdict.findings.filter((finding) => finding.kind === kind)
        .map(({ user, detail }) => `${kind} at ${user}: ${detail}`),
    )
  );
  failures.push(
    ...shorten(brokenNotes(lives)),
    ...findings,
    ...shorten(checkSums(sums)),
  );
  // Counters are the broker's: a disaster takes it back, or takes from it.
  if (excuse === undefined) {
    failures.push(...shorten(checkCounts(sums, history, verdict)));
  }
  return { failures, verdict };
}

/** One app: its jobs, and its deaths. */
async function playApp(
  stage: Stage,
  plan: Plan,
  name: string,
  startMs: number,
): Promise<void> {
  const app = stage.app(name);
  const kills = [...plan.kills.get(name) ?? []];
  const jobs = plan.jobs.get(name) ?? [];
  for (const job of jobs.slice(0, kills.length + 1)) {
    const writer = `${app.life}-${stage.round}`;
    const writing = app.write({ ...job, writer });
    const kill = kills.shift();
    if (kill === undefined) {
      if (!await writing) throw new Error(`${app.life} was not to be killed`);
      return;
    }
    await pause(startMs + kill.atMs - performance.now());
    await app.kill();
    await writing;
    await pause(kill.downMs);
    app.launch();
    await app.ready();
  }
}

/** A broker or daemon: its deaths, whatever it is at. */
async function playProgram(
  slot: Slot,
  kills: readonly Kill[],
  startMs: number,
): Promise<void> {
  for (const kill of kills) {
    await pause(startMs + kill.atMs - performance.now());
    if (slot.program.isOver) throw await deathOf(slot);
    await slot.kill();
    await pause(kill.downMs);
    slot.launch();
  }
  await slot.program.ready();
}

/** Whoever is in the slot then stands still for a while. */
async function playStalls(
  stage: Stage,
  name: string,
  stalls: readonly Stall[],
  startMs: number,
): Promise<void> {
  for (const { atMs, forMs } of stalls) {
    await pause(startMs + atMs - performance.now());
    const program = stage.program(name);
    program.signal("SIGSTOP");
    await pause(forMs);
    program.signal("SIGCONT");
  }
}

async function deathOf(slot: Slot): Promise<Error> {
  const { code, signal } = await slot.program.ended;
  return new Error(
    `${slot.program.name} ended by itself with ${signal ?? code}: ` +
      slot.program.stderr,
  );
}

function shorten(lines: readonly string[]): string[] {
  if (lines.length <= SHOWN_MAX) return [...lines];
  const rest = lines.length - SHOWN_MAX;
  return [...lines.slice(0, SHOWN_MAX), `… and ${rest} more of this kind`];
}
