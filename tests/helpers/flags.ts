/**
 * The flags of the commands beside the tests: wrong ones are named, with what there
 * is, and end with code 2.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";

/** Prints what there is, and ends: 0 if it was asked for. */
function endWithUsage(usage: string, problem: string | null): never {
  const stream = problem === null ? Deno.stdout : Deno.stderr;
  const lines = problem === null ? [usage] : [`error: ${problem}`, usage];
  stream.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
  Deno.exit(problem === null ? 0 : 2);
}

/**
 * Reads this process's flags.
 *
 * @param usage One line that names the command and its flags.
 */
export function readFlags<
  const O extends NonNullable<ParseArgsConfig["options"]>,
>(usage: string, options: O) {
  if (Deno.args.includes("--help")) endWithUsage(usage, null);
  try {
    return parseArgs({ args: Deno.args, options }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Node's second sentence explains how to write a file name that begins with "-".
    endWithUsage(usage, error.message.split(". ")[0]);
  }
}

/** A flag that is a number. */
export function numberFlag(
  usage: string,
  name: string,
  text: string,
  min: number,
): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= min && value < Infinity) return value;
  endWithUsage(usage, `--${name} is "${text}", expected a number from ${min}`);
}
