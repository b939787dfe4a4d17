/**
 * What happens in a round of a fault run: who writes how much, who is killed
 * when. All of it follows from the seed.
 *
 * @module
 */

import { Random } from "../helpers/random.ts";
import type { WriteJob } from "./app_protocol.ts";
import { CAST, MACHINES, type Role, TOPICS } from "./cast.ts";

/** One SIGKILL. */
export interface Kill {
  /** From the beginning of the round. */
  atMs: number;
  /** From the kill to the next start. */
  downMs: number;
}

/** One SIGSTOP, and SIGCONT later: still there, but not answering. */
export interface Stall {
  /** From the beginning of the round. */
  atMs: number;
  /** How long it does nothing. */
  forMs: number;
}

/** A round. */
export interface Plan {
  seed: number;
  /** By slot (`broker`, `daemon north`, an app's name), in the order of time. */
  kills: Map<string, Kill[]>;
  /** By slot, in the order of time. */
  stalls: Map<string, Stall[]>;
  /** By app: the jobs of its lives in this round, more than it can have. */
  jobs: Map<string, Omit<WriteJob, "do" | "writer">[]>;
}

/** What makes a plan. */
export interface PlanOptions {
  seed: number;
  /** Whether apps are killed too. */
  appsToo: boolean;
  /** Whether anybody is killed. @default {true} */
  kills?: boolean;
  /** What each app publishes, and over which time. */
  publishes?: number;
  durationMs?: number;
}

const DURATION_MS = 1_100;
const PUBLISHES_PER_LIFE = 210;
const KILLS_MIN = 3;
const KILLS_MAX = 6;
const STALLS_MAX = 3;

/** The plan of a round. */
export function makePlan(options: PlanOptions): Plan {
  const { seed, appsToo, kills = true } = options;
  const random = new Random(seed);
  const size = {
    count: options.publishes ?? PUBLISHES_PER_LIFE,
    durationMs: options.durationMs ?? DURATION_MS,
  };
  const jobs = new Map(
    CAST.map((role) => [role.name, drawJobs(role, random, size)]),
  );
  const plan: Plan = { seed, kills: new Map(), stalls: new Map(), jobs };
  if (kills) {
    drawKills(plan, appsToo, random);
    drawStalls(plan, random);
  }
  return plan;
}

/** How many times a plan kills. */
export function countKills(plan: Plan): number {
  return [...plan.kills.values()].reduce((sum, list) => sum + list.length, 0);
}

function drawJobs(
  role: Role,
  random: Random,
  { count, durationMs }: { count: number; durationMs: number },
): Omit<WriteJob, "do" | "writer">[] {
  return Array.from({ length: KILLS_MAX + 1 }, (_, life) => ({
    // Several in turn are what bundles are made of.
    topics: random.shuffle(TOPICS).slice(0, random.pick([1, 3, 4, 4])),
    // Whoever was killed does it all again: a round has its thousand publishes.
    count,
    durationMs: life === 0 ? durationMs : durationMs / 3,
    // Waiting for the broker each time would take long while it is away.
    window: random.pick([role.brokerLevelShare > 0.1 ? 2 : 1, 8, 32, 64]),
    brokerLevelShare: role.brokerLevelShare,
    seed: random.integer(0, 0xffff_ffff),
  }));
}

function drawStalls(plan: Plan, random: Random): void {
  const daemons = MACHINES.map((machine) => `daemon ${machine}`);
  const apps = CAST.map((role) => role.name);
  let left = random.integer(0, STALLS_MAX);
  while (left-- > 0) {
    const stall = {
      atMs: random.integer(0, DURATION_MS),
      forMs: random.pick([20, 100, 300, 600]),
    };
    const slot = random.pick(["broker", "broker", ...daemons, ...apps]);
    plan.stalls.set(slot, [...plan.stalls.get(slot) ?? [], stall]);
  }
  for (const list of plan.stalls.values()) list.sort(byTime);
}

function byTime(left: { atMs: number }, right: { atMs: number }): number {
  return left.atMs - right.atMs;
}

function drawKills(plan: Plan, appsToo: boolean, random: Random): void {
  const daemons = MACHINES.map((machine) => `daemon ${machine}`);
  const programs = ["broker", "broker", ...daemons];
  const apps = appsToo ? CAST.map((role) => role.name) : [];
  let left = random.integer(KILLS_MIN, KILLS_MAX);
  while (left > 0) {
    const together = Math.min(left, random.pick([1, 1, 1, 2, 3]));
    const atMs = random.integer(50, DURATION_MS);
    const victims = new Set(random.shuffle([...programs, ...apps]));
    for (const victim of [...victims].slice(0, together)) {
      const kill = { atMs, downMs: random.pick([0, 0, 50, 300]) };
      plan.kills.set(victim, [...plan.kills.get(victim) ?? [], kill]);
      left--;
    }
  }
  for (const list of plan.kills.values()) list.sort(byTime);
}
