/**
 * How a program ends that has nothing to run, or whose work is done: the exit code,
 * and one line on stderr if it is not 0.
 *
 * @module
 */

import type * as v from "../deps/valibot.ts";
import { MomError } from "../protocol/errors.ts";
import { type FormatVersions, versionLine } from "./build.ts";
import type { Host } from "./host.ts";
import type { ProgramSpec, SettingsSchema } from "./program_spec.ts";
import { type ParseArguments, readSettings } from "./settings.ts";

/** Where a program's settings come from. */
export interface SettingsOptions<S extends SettingsSchema> {
  /** What it is called and can be told. */
  readonly spec: ProgramSpec<S>;
  /** Splits the command line. */
  readonly parse: ParseArguments;
  /** The process it runs in. */
  readonly host: Host;
  /** Versions of what it keeps, for `--version`. */
  readonly formats?: FormatVersions;
}

/**
 * A program's settings; or `null` when there is nothing to run, because help or
 * version were asked for or the usage is bad: then all is printed and
 * `host.exit` called.
 */
export function settingsOrExit<S extends SettingsSchema>(
  options: SettingsOptions<S>,
): v.InferOutput<S> | null {
  const { host, spec, parse } = options;
  const { args, environment } = host;
  const result = readSettings(spec, { args, environment, parse });
  switch (result.kind) {
    case "run":
      return result.settings;
    case "help":
      host.writeOutput(result.text);
      host.exit(0);
      return null;
    case "version":
      host.writeOutput(`${versionLine(options.formats)}\n`);
      host.exit(0);
      return null;
    case "bad_usage":
      exitMisused(host, result.message);
      return null;
    default:
      return result satisfies never;
  }
}

/** Ends it as told something that it cannot do. */
export function exitMisused(host: Host, message: string): void {
  host.writeError(toErrorLine(new MomError("option_invalid", message)));
  host.exit(2);
}

/** Does the work and ends the program with it, well or with what it rejects with. */
export async function exitAfter(
  host: Host,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
    host.exit(0);
  } catch (error) {
    host.writeError(toErrorLine(error));
    host.exit(1);
  }
}

/** `error: CODE message`, on one line. */
export function toErrorLine(error: unknown): string {
  const code = error instanceof MomError ? error.code : "internal";
  const message = error instanceof Error ? error.message : String(error);
  return `error: ${code} ${message.replace(/\s*[\r\n]+\s*/g, " ")}\n`;
}
