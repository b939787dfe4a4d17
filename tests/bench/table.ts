/**
 * Rows as text. Pure.
 *
 * @module
 */

import type { BenchRow, Ratio } from "./row.ts";

/** Columns as wide as their widest cell, two spaces apart. */
export function alignColumns(lines: readonly (readonly string[])[]): string {
  const widths = lines.reduce<number[]>(
    (known, line) =>
      line.map((cell, at) => Math.max(known[at] ?? 0, cell.length)),
    [],
  );
  return lines.map((line) =>
    line.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd()
  ).join("\n");
}

/** Three digits that count: `1.23M`, `45.6k`, `789`, `0.12`. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const [scaled, suffix] = Math.abs(value) >= 999_500
    ? [value / 1e6, "M"]
    : Math.abs(value) >= 9_995
    ? [value / 1e3, "k"]
    : [value, ""];
  const digits = Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)}${suffix}`;
}

const HEAD = [
  "workload",
  "peer",
  "road",
  "bytes",
  "min / median / max",
  "unit",
  "ack means",
  "lost",
  "late",
  "CPU us/message · peak MiB",
  "",
];

/** All rows. */
export function rowTable(rows: readonly BenchRow[]): string {
  return alignColumns([HEAD, ...rows.map(cellsOf)]);
}

function cellsOf(row: BenchRow): string[] {
  const { min, median, max } = row;
  return [
    named(row),
    row.peer,
    row.road,
    row.bytes === 0 ? "" : String(row.bytes),
    [min, median, max].map(shortNumber).join(" / "),
    row.unit,
    row.acknowledged,
    String(row.lost),
    String(row.reordered),
    byProcess(row),
    row.failures.length === 0 ? "" : `FAILED: ${row.failures.join(", ")}`,
  ];
}

/** Ours against peers, a line each. */
export function ratioTable(ratios: readonly Ratio[]): string {
  return alignColumns([
    ["workload", "bytes", "mom", "against", "times as fast"],
    ...ratios.map((each) => [
      named(each),
      String(each.bytes),
      each.road,
      each.peer,
      `${each.ratio.toFixed(2)}×`,
    ]),
  ]);
}

function named(row: { workload: string; variant: string }): string {
  return row.variant === "" ? row.workload : `${row.workload}, ${row.variant}`;
}

function byProcess({ cpuMicrosPerMessage, peakMiB }: BenchRow): string {
  return Object.entries(peakMiB).map(([name, peak]) => {
    const micros = cpuMicrosPerMessage[name];
    const time = micros === undefined ? "-" : shortNumber(micros);
    return `${name} ${time}·${Math.round(peak)}`;
  }).join(", ");
}
