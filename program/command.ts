/**
 * Commands of a program beside its running: `broker backup FILE`. Each has
 * settings of its own, prints one line and ends.
 *
 * | exit code | when |
 * | --- | --- |
 * | 0 | done |
 * | 1 | it failed: one line on stderr |
 * | 2 | bad usage: one line on stderr |
 *
 * @module
 */

import type * as v from "../deps/valibot.ts";
import { MomError } from "../protocol/errors.ts";
import type { Host } from "./host.ts";
import type { ProgramSpec, SettingsSchema } from "./program_spec.ts";
import { settingsOrExit, toErrorLine } from "./run.ts";
import type { ParseArguments } from "./settings.ts";

/** A command. */
export interface CommandOptions<S extends SettingsSchema> {
  /** What it is called and can be told. */
  readonly spec: ProgramSpec<S>;
  /** Splits the command line. */
  readonly parse: ParseArguments;
  /** The process it runs in; its arguments without the command's name. */
  readonly host: Host;
  /** What is wrong with settings that each are right, or `null`. @default {nothing} */
  misuse?(settings: v.InferOutput<S>): string | null;
  /** Does it. Gives the line to print. */
  run(settings: v.InferOutput<S>): Promise<string>;
}

/** Runs a command to its end; `host.exit` is called when this resolves. */
export async function runCommand<S extends SettingsSchema>(
  options: CommandOptions<S>,
): Promise<void> {
  const { host } = options;
  const settings = settingsOrExit(options);
  if (settings === null) return;
  const misuse = options.misuse?.(settings) ?? null;
  if (misuse !== null) {
    host.writeError(toErrorLine(new MomError("option_invalid", misuse)));
    return host.exit(2);
  }
  host.hideFiles();
  try {
    host.writeOutput(`${await options.run(settings)}\n`);
    host.exit(0);
  } catch (error) {
    host.writeError(toErrorLine(error));
    host.exit(1);
  }
}

/** Tells a command from a program's own arguments: its name comes first. */
export function splitCommand(
  host: Host,
  names: readonly string[],
): { name: string; host: Host } | null {
  const [name, ...args] = host.args;
  if (name === undefined || !names.includes(name)) return null;
  return { name, host: Object.create(host, { args: { value: args } }) };
}
