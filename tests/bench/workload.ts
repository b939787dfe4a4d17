/**
 * What a workload is, and what all of them need.
 *
 * @module
 */

import type { AwaitTold, FloodTold } from "./app/protocol.ts";
import type { BenchApp } from "./bench_app.ts";
import type { Contestant, Stage } from "./contestant.ts";
import { type ProcessIds, type Usage, usageDuring } from "./process_usage.ts";
import type { Outcome } from "./row.ts";

/** One measurement. */
export interface Case {
  /** Told while it runs; rows have the outcomes' own. */
  variant: string;
  /** Of the encoded value. */
  bytes: number;
  seconds: number;
  contestant: Contestant;
}

/** A workload: which cases it has, and what it does in one. */
export interface Workload {
  /** Whether it can be measured on this contestant. */
  takes(contestant: Contestant): boolean;
  /** Parts that are stages of their own. @default {[""]} */
  variants?(isFull: boolean): readonly string[];
  /** Whether it is run with every size, or with the first. @default {true} */
  isOfEverySize?: boolean;
  /** One repetition, with fresh programs and data. */
  run(run: Case): Promise<Outcome[]>;
}

/** The topic of all workloads that need but one. */
export const TOPIC = "bench";

/** Warm-up: the code is hot, and the windows have found their sizes. */
export function warmUpSeconds(seconds: number): number {
  return Math.min(2, seconds / 2);
}

/** A number of messages for what is not measured by time. */
export function countFor(run: Case, inFiveSeconds: number): number {
  return Math.max(1, Math.round(inFiveSeconds * run.seconds / 5));
}

/** Servers and apps, by name. */
export function idsOf(stage: Stage, ...apps: BenchApp[]): ProcessIds {
  return {
    ...stage.servers,
    ...Object.fromEntries(apps.map(({ name, pid }) => [name, pid])),
  };
}

/** A subscriber of that name who is away: comes, subscribes and goes. */
export async function reserve(
  stage: Stage,
  topic: string,
  prefix?: string,
): Promise<void> {
  await using app = await stage.startApp("reader");
  await app.call({ do: "reserve", topic, readers: 1, prefix });
  await app.close();
}

/** What a writer and its readers did in a measurement. */
export interface Passed {
  flood: FloodTold;
  told: AwaitTold;
  usage: Usage;
}

/** Publish and receive all of it; the readers take already. */
export async function pass(
  stage: Stage,
  writer: BenchApp,
  reader: BenchApp,
  command: Parameters<BenchApp["call"]>[0],
  deliveriesEach = 1,
): Promise<Passed> {
  const before = await reader.call<AwaitTold>({ do: "await", count: 0 });
  const ids = idsOf(stage, writer, reader);
  const { usage, result } = await usageDuring(ids, async () => {
    const flood = await writer.call<FloodTold>(command);
    const count = before.received + flood.count * deliveriesEach;
    const told = await reader.call<AwaitTold>({ do: "await", count });
    return { flood, told };
  });
  const { flood, told } = result;
  const received = told.received - before.received;
  const reordered = told.reordered - before.reordered;
  return { flood, told: { ...told, received, reordered }, usage };
}

/** Deliveries by time, from the first publish to the last receive. */
export function deliveryOutcome(
  variant: string,
  unit: string,
  { flood, told, usage }: Passed,
  deliveriesEach = 1,
): Outcome {
  const { received, reordered, atMs } = told;
  return {
    variant,
    value: received * 1_000 / (atMs - flood.startMs),
    unit,
    messages: received,
    ...lossOf(flood.count * deliveriesEach, received),
    reordered,
    usage,
  };
}

/** Too few are lost; too many fail the row as well. */
export function lossOf(
  expected: number,
  received: number,
): { lost: number; failure?: string } {
  const surplus = received - expected;
  return {
    lost: Math.max(0, -surplus),
    failure: surplus > 0 ? `${surplus} more than were published` : undefined,
  };
}
