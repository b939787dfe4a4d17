/**
 * Many counters, one after another: some on one cluster, then on a new one.
 *
 * @module
 */

import { Cluster } from "../process/cluster.ts";
import { type CounterReport, runCounter } from "./counter.ts";

const ROUNDS_PER_CLUSTER = 10;

/** Options of {@linkcode runCounters}. */
export interface CountersOptions {
  rounds: number;
  /** Of the first round; the next has the next number. */
  seed: number;
  /** Told of each round. */
  onRound?: (line: string) => void;
}

/**
 * Counts until one fails or all are counted.
 *
 * @throws {Error} With the seed of the first that failed.
 */
export async function runCounters(options: CountersOptions): Promise<void> {
  const { rounds, seed, onRound } = options;
  for (let first = 0; first < rounds; first += ROUNDS_PER_CLUSTER) {
    await using cluster = await Cluster.start({
      machines: ["north", "east", "south"],
    });
    const end = Math.min(rounds, first + ROUNDS_PER_CLUSTER);
    for (let round = first; round < end; round++) {
      onRound?.(tell(await runCounter({ cluster, seed: seed + round })));
    }
  }
}

function tell(report: CounterReport): string {
  const { seed, value, kills, pauses, blackouts, seconds } = report;
  return `seed ${seed}: ${value}, ${kills} kills, ${pauses} pauses, ` +
    `${blackouts} times all at once, ${seconds.toFixed(1)} s`;
}
