/**
 * Whether figures stay flat. Pure: samples in, a row for each figure out.
 *
 * The first third of the time is for warming up; the median of the second is
 * compared with that of the last. Programs are killed and start small, so single
 * values say nothing; in a quarter of an hour a third holds two kills of each.
 *
 * @module
 */

import type { Figure, Sample } from "./sampler.ts";

/** A few open files more are no leak: a socket in the middle of being closed. */
const OPEN_FILES_SLACK = 2;

/** One figure of one subject. */
export interface FlatnessRow {
  subject: string;
  figure: Figure;
  /** Median soon after warming up. */
  early: number;
  /** Median at the end. */
  late: number;
  /** `late / early - 1`. */
  growth: number;
  isFlat: boolean;
}

/** Options of {@linkcode judgeFlatness}. */
export interface FlatnessOptions {
  /** How long it was measured, from 0. */
  durationMs: number;
  /** How much a figure may grow. @default {0.1} */
  growthMax?: number;
}

/** Compares the beginning with the end, for each figure of each subject. */
export function judgeFlatness(
  samples: readonly Sample[],
  options: FlatnessOptions,
): FlatnessRow[] {
  const { durationMs, growthMax = 0.1 } = options;
  const third = durationMs / 3;
  const groups = Map.groupBy(samples, (one) => `${one.subject} ${one.figure}`);
  return [...groups.values()].map((group) => {
    const [{ subject, figure }] = group;
    const early = medianOf(group, third, durationMs - third);
    const late = medianOf(group, durationMs - third, durationMs);
    const slack = figure === "openFiles" ? OPEN_FILES_SLACK : 0;
    const limit = Math.max(early * (1 + growthMax), early + slack);
    const growth = early === 0 ? 0 : late / early - 1;
    return { subject, figure, early, late, growth, isFlat: late <= limit };
  });
}

/** A table for people. */
export function tellFlatness(rows: readonly FlatnessRow[]): string[] {
  return rows.map(({ subject, figure, early, late, growth, isFlat }) => {
    const values = [early, late].map((value) => tellValue(figure, value));
    const percent = `${growth < 0 ? "" : "+"}${(growth * 100).toFixed(1)} %`;
    const verdict = isFlat ? "" : "  GROWS";
    return `${subject.padEnd(13)} ${figure.padEnd(14)} ` +
      `${values[0].padStart(10)} → ${values[1].padStart(10)}  ` +
      `${percent.padStart(8)}${verdict}`;
  });
}

function tellValue(figure: Figure, value: number): string {
  if (figure === "openFiles") return String(value);
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

/** NaN where nothing was measured: such a row is never flat. */
function medianOf(
  samples: readonly Sample[],
  fromMs: number,
  toMs: number,
): number {
  const values = samples
    .filter(({ atMs }) => fromMs <= atMs && atMs <= toMs)
    .map(({ value }) => value)
    .sort((left, right) => left - right);
  return values[Math.floor(values.length / 2)] ?? NaN;
}
