/**
 * Reads the command lines of what stands beside the programs: bench, faults, fuzz,
 * simulation, soak. Pure.
 *
 * @module
 */

import { parseArgs } from "../../deps/cli.ts";

/** Flags by name: a text, with what it is when absent, or yes or no. */
export type FlagOptions = Readonly<
  Record<string, { type: "string"; default?: string } | { type: "boolean" }>
>;

/** What was given, by name. */
export type FlagValues<O extends FlagOptions> = {
  [Name in keyof O]: O[Name] extends { type: "boolean" } ? boolean
    : O[Name] extends { default: string } ? string
    : string | undefined;
};

/** Wrong usage; its message names the flag, the value and the rule. */
export class UsageError extends Error {}

/**
 * Splits a command line.
 *
 * @returns The flags, and what is none.
 * @throws {UsageError}
 */
export function parseFlags<O extends FlagOptions>(
  args: readonly string[],
  options: O,
): { values: FlagValues<O>; operands: string[] } {
  const entries = Object.entries(options);
  const namesOf = (type: string) =>
    entries.filter(([, option]) => option.type === type).map(([name]) => name);
  const texts = namesOf("string");
  const { _: operands, ...given } = parseArgs([...args], {
    string: [...texts, "_"],
    boolean: namesOf("boolean"),
    unknown: (arg, key) => {
      if (key !== undefined) {
        throw new UsageError(`${arg}: there is no such flag`);
      }
    },
  });
  const values: Record<string, unknown> = given;
  for (const name of texts) {
    const value = given[name];
    if (value === "") throw new UsageError(`--${name}: needs a value`);
    const option = options[name];
    if (value === undefined && "default" in option) {
      values[name] = option.default;
    }
  }
  return { values: values as FlagValues<O>, operands: operands.map(String) };
}

/**
 * The number that a flag's text stands for.
 *
 * @throws {UsageError}
 */
export function toNumber(
  name: string,
  text: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= min && value <= max) return value;
  const rule = max === Number.MAX_SAFE_INTEGER
    ? `a number from ${min}`
    : `from ${min} to ${max}`;
  throw new UsageError(`--${name} ${text}: must be ${rule}`);
}
