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
import { exitAfter, exitMisused, settingsOrExit } from "./exit.ts";
import type { Host } from "./host.ts";
import type { ProgramSpec, SettingsSchema } from "./program_spec.ts";
import type { ParseArguments } from "./settings.ts";

/** What a command runs in. */
export interface CommandPlace {
  /** The process; its arguments without the command's name. */
  readonly host: Host;
  /** Splits the command line. */
  readonly parse: ParseArguments;
}

/** A program's commands by name. Each ends the process. */
export type Commands = Readonly<
  Record<string, (place: CommandPlace) => Promise<void>>
>;

/** A command. */
export interface CommandOptions<S extends SettingsSchema> extends CommandPlace {
  /** What it is called and can be told. */
  readonly spec: ProgramSpec<S>;
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
  if (misuse !== null) return exitMisused(host, misuse);
  host.hideFiles();
  await exitAfter(host, async () => {
    host.writeOutput(`${await options.run(settings)}\n`);
  });
}

/**
 * Runs the command whose name comes first on the command line, to its end.
 *
 * @returns Whether there was one; else the arguments are the program's own.
 */
export async function runIfCommand(
  commands: Commands,
  { host, parse }: CommandPlace,
): Promise<boolean> {
  const [name, ...args] = host.args;
  if (name === undefined || !Object.hasOwn(commands, name)) return false;
  const rest: Host = Object.create(host, { args: { value: args } });
  await commands[name]!({ host: rest, parse });
  return true;
}
