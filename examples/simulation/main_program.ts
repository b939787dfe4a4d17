/**
 * From the command line to the exit code.
 *
 * @module
 */

import {
  type Flags,
  type Parse,
  readFlags,
  type Settings,
  tellFlags,
  UsageError,
} from "./flags.ts";
import { checkLog, runSimulation } from "./run.ts";
import type { Simulation } from "./simulation.ts";

/** Runs a simulation as its command line says; gives the exit code. */
export async function runMain<E extends { kind: string }>(
  simulation: Simulation<E>,
  flags: Flags,
  parse: Parse,
): Promise<number> {
  if (Deno.args.includes("--help")) {
    say(Deno.stdout, [`deno task ${simulation.name}`, ...tellFlags(flags)]);
    return 0;
  }
  const settings = settingsOrNull(flags, parse);
  if (settings === null) return 2;
  if (settings.check !== null) {
    return await checkLog(simulation, settings.check);
  }
  settings.numbers.seed ||= 1 + Math.floor(Math.random() * 999_999);
  return await runSimulation(simulation, settings);
}

function settingsOrNull(flags: Flags, parse: Parse): Settings | null {
  try {
    return readFlags(Deno.args, flags, parse);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say(Deno.stderr, [`error: option_invalid ${error.message}`]);
    return null;
  }
}

function say(
  to: { writeSync(bytes: Uint8Array): number },
  lines: readonly string[],
): void {
  to.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
}
