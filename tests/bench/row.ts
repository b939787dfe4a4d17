/**
 * What is measured: the outcome of one repetition, and the row that repetitions
 * make. Pure.
 *
 * @module
 */

import type { Usage } from "./process_usage.ts";
import { medianOf, mediansByName, spreadOf } from "./statistics.ts";

/** What an acknowledgement of a publish means. */
export type Acknowledgement = "disk" | "page cache" | "memory" | "none";

/** Who was measured, in what. */
export interface RowKey {
  workload: string;
  /** A workload's own parts: `p99 closed`, `16 publishers`; or empty. */
  variant: string;
  /** `daemons`, `direct`; a peer's is `server`. */
  road: string;
  peer: string;
  /** Of the encoded value; 0 where no message is concerned. */
  bytes: number;
  unit: string;
}

/** One repetition of one workload gives one or more. */
export interface Outcome {
  variant: string;
  value: number;
  unit: string;
  /** How many messages were counted. */
  messages: number;
  lost: number;
  reordered: number;
  usage?: Usage;
  /** Fails the row, whatever was lost. */
  failure?: string;
}

/** An outcome with what it is of. */
export interface Measured extends Outcome {
  key: RowKey;
  acknowledged: Acknowledgement;
}

/** Several repetitions. */
export interface BenchRow extends RowKey {
  acknowledged: Acknowledgement;
  min: number;
  median: number;
  max: number;
  /** In the middle repetition. */
  messages: number;
  /** Of all repetitions. */
  lost: number;
  reordered: number;
  /** By process: medians. Empty where the system does not tell. */
  cpuSeconds: Record<string, number>;
  cpuMicrosPerMessage: Record<string, number>;
  peakMiB: Record<string, number>;
  /** Empty if all is well. */
  failures: string[];
}

/** Rows in the order in which they first appeared. */
export function rowsOf(measured: readonly Measured[]): BenchRow[] {
  const groups = Map.groupBy(measured, ({ key }) => JSON.stringify(key));
  return [...groups.values()].map(rowOf);
}

function rowOf(repetitions: readonly Measured[]): BenchRow {
  const { key, acknowledged } = repetitions[0]!;
  const sum = (of: (each: Measured) => number) =>
    repetitions.reduce((total, each) => total + of(each), 0);
  const lost = sum((each) => each.lost);
  const reordered = sum((each) => each.reordered);
  const usages = repetitions.map(({ usage }) => usage)
    .filter((usage) => usage !== undefined);
  const cpuSeconds = mediansByName(usages.map((each) => each.cpuSeconds));
  const messages = medianOf(repetitions.map((each) => each.messages));
  const told = repetitions.map(({ failure }) => failure)
    .filter((failure) => failure !== undefined);
  return {
    ...key,
    acknowledged,
    ...spreadOf(repetitions.map(({ value }) => value)),
    messages,
    lost,
    reordered,
    cpuSeconds,
    cpuMicrosPerMessage: microsPer(messages, cpuSeconds),
    peakMiB: mediansByName(usages.map((each) => each.peakMiB)),
    failures: [
      ...new Set(told),
      ...lost > 0 ? [`${lost} lost`] : [],
      ...reordered > 0 ? [`${reordered} out of order`] : [],
    ],
  };
}

function microsPer(
  messages: number,
  cpuSeconds: Record<string, number>,
): Record<string, number> {
  if (messages === 0) return {};
  return Object.fromEntries(
    Object.entries(cpuSeconds)
      .map(([name, seconds]) => [name, seconds * 1e6 / messages]),
  );
}

/** Ours against a peer's, in the same workload and size. */
export interface Ratio {
  workload: string;
  variant: string;
  bytes: number;
  road: string;
  peer: string;
  /** Above 1: we are faster, whether by rate or by time. */
  ratio: number;
}

/** Every row of ours by every row of a peer that measures the same. */
export function ratiosOf(rows: readonly BenchRow[]): Ratio[] {
  return rows.filter(({ peer }) => peer === "mom").flatMap((ours) =>
    rows.filter((theirs) => isSameMeasure(ours, theirs)).map((theirs) => ({
      workload: ours.workload,
      variant: ours.variant,
      bytes: ours.bytes,
      road: ours.road,
      peer: theirs.peer,
      ratio: isRate(ours.unit)
        ? ours.median / theirs.median
        : theirs.median / ours.median,
    }))
  );
}

function isSameMeasure(ours: BenchRow, theirs: BenchRow): boolean {
  return theirs.road === "server" && theirs.workload === ours.workload &&
    theirs.variant === ours.variant && theirs.bytes === ours.bytes &&
    theirs.unit === ours.unit && (isRate(ours.unit) || ours.unit === "us");
}

/** Whether more is better. */
function isRate(unit: string): boolean {
  return unit.endsWith("/s");
}
