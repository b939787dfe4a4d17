/**
 * The flags of this process, where it is a command beside the tests: wrong ones are
 * named, with what there is, and end it with code 2.
 *
 * @module
 */

import {
  type FlagOptions,
  type FlagValues,
  parseFlags,
  toNumber,
  UsageError,
} from "./command_line.ts";

/** Prints what there is, and ends: 0 if it was asked for. */
function endWithUsage(usage: string, problem: string | null): never {
  const stream = problem === null ? Deno.stdout : Deno.stderr;
  const lines = problem === null ? [usage] : [`error: ${problem}`, usage];
  stream.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
  Deno.exit(problem === null ? 0 : 2);
}

function orEnd<T>(usage: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    endWithUsage(usage, error.message);
  }
}

/**
 * Reads this process's flags.
 *
 * @param usage Names the command and its flags.
 */
export function readFlags<O extends FlagOptions>(
  usage: string,
  options: O,
): FlagValues<O> {
  if (Deno.args.includes("--help")) endWithUsage(usage, null);
  return orEnd(usage, () => {
    const { values, operands } = parseFlags(Deno.args, options);
    if (operands.length === 0) return values;
    throw new UsageError(`${operands[0]}: takes flags only`);
  });
}

/** A flag that is a number. */
export function numberFlag(
  usage: string,
  name: string,
  text: string,
  min: number,
): number {
  return orEnd(usage, () => toNumber(name, text, min));
}
