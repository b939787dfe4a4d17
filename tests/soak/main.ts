/**
 * `deno task soak [--minutes 15] [--seed N] [--kill-every SECONDS]`: half of full
 * speed for a quarter of an hour, with kills, and whether anything was lost or
 * grows. Exit code 1 if so. `--samples FILE` keeps every measurement.
 *
 * @module
 */

import { numberFlag, readFlags } from "../helpers/flags.ts";
import { endWithPrograms } from "../process/program.ts";
import type { Sample } from "./sampler.ts";
import { runSoak, tellReport } from "./soak.ts";

const USAGE = "usage: deno task soak [--minutes 15] [--seed N] " +
  "[--kill-every SECONDS] [--samples FILE]";

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Tab-separated, for who wants to draw it. */
function toTable(samples: readonly Sample[]): string {
  return samples.map(({ atMs, subject, figure, value }) =>
    `${Math.round(atMs)}\t${subject}\t${figure}\t${value}\n`
  ).join("");
}

async function run(): Promise<number> {
  const values = readFlags(USAGE, {
    minutes: { type: "string", default: "15" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    "kill-every": { type: "string", default: "30" },
    samples: { type: "string" },
  });
  const seed = numberFlag(USAGE, "seed", values.seed, 0);
  const minutes = numberFlag(USAGE, "minutes", values.minutes, 0.1);
  const killSeconds = numberFlag(USAGE, "kill-every", values["kill-every"], 1);
  say(`seed ${seed}`);
  const report = await runSoak({
    durationMs: minutes * 60_000,
    killEveryMs: killSeconds * 1_000,
    seed,
    onLine: say,
  });
  for (const line of tellReport(report)) say(line);
  if (values.samples !== undefined) {
    await Deno.writeTextFile(values.samples, toTable(report.samples));
  }
  const isFlat = report.rows.every((row) => row.isFlat);
  return isFlat && report.findings.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  endWithPrograms();
  Deno.exit(await run());
}
