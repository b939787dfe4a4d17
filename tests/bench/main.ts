/**
 * `deno task bench`: how fast mom is on this machine, alone or side by side with
 * others (options.ts). Ends with 1 if a message was lost or came out of order, or
 * a measurement failed; with 2 on wrong usage.
 *
 * `deno task bench coordinator [--seconds 5] [--repeat 3] [--json FILE]` measures the
 * coordinators (coordinator.ts).
 *
 * @module
 */

import { endWithPrograms } from "../process/program.ts";
import { UsageError } from "../helpers/command_line.ts";
import { benchCoordinator, coordinatorTable } from "./coordinator.ts";
import { LiveStages } from "./live_stages.ts";
import { readMachine, readVersions } from "./machine.ts";
import { readOptions, USAGE } from "./options.ts";
import { Progress } from "./progress.ts";
import { ratiosOf, rowsOf } from "./row.ts";
import { carryOut, planRun } from "./run.ts";
import { ratioTable, rowTable } from "./table.ts";

function write(to: typeof Deno.stdout | typeof Deno.stderr, text: string) {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** What happened; where in the bench it was noticed tells nobody anything. */
function firstLines(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n").slice(0, 2).join(" ");
}

async function run(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    write(Deno.stdout, USAGE);
    return 0;
  }
  const options = readOptions(args);
  const machine = readMachine();
  const versions = await readVersions(options.peers);
  const stages = new LiveStages();
  const { steps, notes } = planRun(options, stages);
  stages.endOnSignals();
  const failures: string[] = [];
  for (const note of notes) write(Deno.stderr, note);
  const measured = await (async () => {
    using progress = new Progress(steps.length);
    return await carryOut(steps, progress, (label, error) => {
      failures.push(`${label}: ${firstLines(error)}`);
    });
  })();
  const rows = rowsOf(measured);
  write(Deno.stdout, rowTable(rows));
  const ratios = ratiosOf(rows);
  if (ratios.length > 0) write(Deno.stdout, `\n${ratioTable(ratios)}`);
  for (const failure of failures) write(Deno.stderr, `FAILED: ${failure}`);
  if (options.json !== null) {
    const report = { machine, versions, rows, ratios, failures, notes };
    await Deno.writeTextFile(options.json, JSON.stringify(report, null, 2));
  }
  const isWell = failures.length === 0 &&
    rows.every((row) => row.failures.length === 0);
  return isWell ? 0 : 1;
}

async function runCoordinator(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  endWithPrograms();
  const report = await benchCoordinator(options);
  write(Deno.stdout, coordinatorTable(report));
  if (options.json !== null) {
    const machine = readMachine();
    const text = JSON.stringify({ machine, ...report }, null, 2);
    await Deno.writeTextFile(options.json, text);
  }
  return 0;
}

async function main(): Promise<number> {
  try {
    const [first, ...rest] = Deno.args;
    if (first === "coordinator") return await runCoordinator(rest);
    return await run(Deno.args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    write(Deno.stderr, `${error.message}\n${USAGE}`);
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main());
