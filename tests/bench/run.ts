/**
 * Runs what the options ask for. Within each repetition all contestants take
 * turns, so that whatever else the machine does meets all of them alike.
 *
 * @module
 */

import type { Contestant } from "./contestant.ts";
import type { LiveStages } from "./live_stages.ts";
import { momContestant } from "./mom_stage.ts";
import { type BenchOptions, WORKLOADS } from "./options.ts";
import { peerContestants } from "./peers/contestants.ts";
import type { Progress } from "./progress.ts";
import type { Measured, Outcome, RowKey } from "./row.ts";
import { hasStrace } from "./strace.ts";
import type { Case } from "./workload.ts";
import { measureLimits } from "./workloads/limits.ts";
import { measureStoreAlone } from "./workloads/store.ts";
import { WORKLOAD_OF } from "./workloads.ts";

/** One measurement of the plan. */
export interface Planned {
  label: string;
  measure(): Promise<Measured[]>;
}

/** What will be measured, and what cannot be. */
export interface Plan {
  steps: Planned[];
  notes: string[];
}

/** Lays out a run, in its order. */
export function planRun(options: BenchOptions, stages: LiveStages): Plan {
  const notes: string[] = [];
  const contestants = contestantsOf(options, notes)
    .map((contestant) => stages.watching(contestant));
  let workloads = WORKLOADS.filter((name) => options.workloads.includes(name));
  if (workloads.includes("durability") && !hasStrace()) {
    workloads = workloads.filter((name) => name !== "durability");
    notes.push(
      "durability is left out: no strace on the PATH " +
        "(Debian: apt-get install strace)",
    );
  }
  const steps = repeated(options, () => [
    plainStep("limits", "machine", () => measureLimits(options.seconds)),
  ]);
  for (const name of workloads) {
    if (name === "store") {
      const measure = () => measureStoreAlone(options.seconds);
      steps.push(...repeated(options, () => [plainStep(name, "mom", measure)]));
      continue;
    }
    const { takes, variants, isOfEverySize = true } = WORKLOAD_OF[name];
    const sizes = isOfEverySize ? options.sizes : options.sizes.slice(0, 1);
    const taken = contestants.filter(takes);
    for (const bytes of sizes) {
      for (const variant of variants?.(options.isFull) ?? [""]) {
        const { seconds } = options;
        steps.push(
          ...repeated(
            options,
            () =>
              taken.map((contestant) =>
                caseStep(name, { variant, bytes, seconds, contestant })
              ),
          ),
        );
      }
    }
  }
  return { steps, notes };
}

/** Measures all; what fails is told and the rest goes on. */
export async function carryOut(
  steps: readonly Planned[],
  progress: Progress,
  onFailed: (label: string, error: unknown) => void,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const step of steps) {
    progress.begin(step.label);
    try {
      measured.push(...await step.measure());
    } catch (error) {
      onFailed(step.label, error);
    }
  }
  return measured;
}

function contestantsOf(options: BenchOptions, notes: string[]): Contestant[] {
  const contestants: Contestant[] = [
    momContestant("daemons"),
    momContestant("direct"),
  ];
  for (const name of options.peers) {
    const found = peerContestants(name);
    contestants.push(...found.contestants);
    if (found.missing !== null) notes.push(found.missing);
  }
  return contestants;
}

function repeated(
  { repeat }: BenchOptions,
  steps: () => Planned[],
): Planned[] {
  return Array.from({ length: repeat }, (_, index) =>
    steps().map((step) => ({
      ...step,
      label: `${step.label}, ${index + 1} of ${repeat}`,
    }))).flat();
}

function caseStep(name: keyof typeof WORKLOAD_OF, run: Case): Planned {
  const { variant, bytes, contestant } = run;
  const { peer, road, acknowledged } = contestant;
  const words = [name, variant, `${bytes} B`, peer, road];
  return {
    label: words.filter((word) => word !== "").join(" "),
    measure: async () =>
      (await WORKLOAD_OF[name].run(run)).map((outcome) => ({
        ...outcome,
        key: keyOf(outcome, { workload: name, road, peer, bytes }),
        acknowledged,
      })),
  };
}

/** What no server takes part in. */
function plainStep(
  workload: string,
  peer: string,
  measure: () => Promise<Outcome[]>,
): Planned {
  const of = { workload, road: "none", peer, bytes: 0 };
  return {
    label: workload,
    measure: async () =>
      (await measure()).map((outcome) => ({
        ...outcome,
        key: keyOf(outcome, of),
        acknowledged: peer === "mom" ? "disk" : "none",
      })),
  };
}

function keyOf(
  { variant, unit }: Outcome,
  of: Omit<RowKey, "variant" | "unit">,
): RowKey {
  return { ...of, variant, unit };
}
