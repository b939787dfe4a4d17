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

/** A round. */
export interface Plan {
  seed: number;
  /** By slot (`broker`, `daemon north`, an app's name), in the order of time. */
  kills: Map<string, Kill[]>;
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
}

const DURATION_MS = 1_100;
const PUBLISHES_PER_LIFE = 260;
const KILLS_MIN = 3;
const KILLS_MAX = 6;

/** The plan of a round. */
export function makePlan(options: PlanOptions): Plan {
  const { seed, appsToo, kills = true } = options;
  const random = new Random(seed);
  const jobs = new Map(CAST.map((role) => [role.name, drawJobs(role, random)]));
  const plan: Plan = { seed, kills: new Map(), jobs };
  if (kills) drawKills(plan, appsToo, random);
  return plan;
}

/** How many times a plan kills. */
export function countKills(plan: Plan): number {
  return [...plan.kills.values()].reduce((sum, list) => sum + list.length, 0);
}

function drawJobs(
  role: Role,
  random: Random,
): Omit<WriteJob, "do" | "writer">[] {
  return Array.from({ length: KILLS_MAX + 1 }, (_, life) => ({
    topics: random.shuffle(TOPICS).slice(0, random.integer(1, TOPICS.length)),
    count: life === 0 ? PUBLISHES_PER_LIFE : random.integer(0, 80),
    durationMs: life === 0 ? DURATION_MS : 200,
    window: random.pick([2, 8, 32, 64]),
    brokerLevelShare: role.brokerLevelShare,
    seed: random.integer(0, 0xffff_ffff),
  }));
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
  for (const list of plan.kills.values()) list.sort((a, b) => a.atMs - b.atMs);
}
