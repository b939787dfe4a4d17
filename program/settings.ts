/**
 * Settings of a program: one schema says what there is, and from it flags,
 * environment variables and the usage text follow. A flag beats the environment,
 * the environment beats the default.
 *
 * A setting `maxMessageBytes` is the flag `--max-message-bytes` and the variable
 * `MOM_MAX_MESSAGE_BYTES`.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import type { ReadEnvironment } from "./environment.ts";
import {
  flagOf,
  isSwitch,
  type ProgramSpec,
  type SettingsSchema,
  variableOf,
} from "./program_spec.ts";
import { usageOf } from "./usage.ts";

/** Splits a command line; `parseArgs` of `deps/cli.ts` fits. */
export type ParseArguments = (
  args: string[],
  options: {
    string: string[];
    boolean: string[];
    alias: Record<string, string>;
  },
) => Record<string, unknown> & { _: (string | number)[] };

/** What the command line came to. */
export type SettingsResult<T> =
  | { kind: "run"; settings: T }
  | { kind: "help"; text: string }
  | { kind: "version" }
  | { kind: "bad_usage"; message: string };

/** Options of {@linkcode readSettings}. */
export interface ReadSettingsOptions {
  /** The command line, without the program itself. */
  args: readonly string[];
  /** Reads environment variables. */
  environment: ReadEnvironment;
  /** Splits the command line. */
  parse: ParseArguments;
}

/** A setting's text and where it comes from, for messages. */
interface Given {
  origin: string;
  value: string | boolean;
}

/**
 * Reads a program's settings from its command line and the environment.
 *
 * @returns The settings, or what else the user asked for, or what is wrong: a
 *   message that names the flag, its value and the rule.
 */
export function readSettings<S extends SettingsSchema>(
  spec: ProgramSpec<S>,
  options: ReadSettingsOptions,
): SettingsResult<v.InferOutput<S>> {
  const { _: operands, ...flags } = split(spec, options);
  if (flags.help === true) return { kind: "help", text: usageOf(spec) };
  if (flags.version === true) return { kind: "version" };
  const given = new Map<string, Given>();
  const problem = takeFlags(spec, flags, given) ??
    takeOperands(spec, operands.map(String), given);
  if (problem !== null) return { kind: "bad_usage", message: problem };
  takeEnvironment(spec, options.environment, given);
  return check(spec, given);
}

function split(
  spec: ProgramSpec,
  { args, parse }: ReadSettingsOptions,
): ReturnType<ParseArguments> {
  const entries = Object.entries(spec.settings.entries);
  const namesOf = (isWanted: (schema: v.GenericSchema) => boolean) =>
    entries.filter(([, schema]) => isWanted(schema as v.GenericSchema))
      .map(([name]) => flagOf(name).slice(2));
  return parse([...args], {
    string: ["_", ...namesOf((schema) => !isSwitch(schema))],
    boolean: ["help", "version", ...namesOf(isSwitch)],
    alias: { h: "help" },
  });
}

function takeFlags(
  spec: ProgramSpec,
  flags: Record<string, unknown>,
  given: Map<string, Given>,
): string | null {
  const names = new Map(
    Object.keys(spec.settings.entries).map((name) => [flagOf(name), name]),
  );
  for (const [flag, value] of Object.entries(flags)) {
    if (["help", "h", "version"].includes(flag)) continue;
    const origin = flag.length === 1 ? `-${flag}` : `--${flag}`;
    const name = names.get(origin);
    if (name === undefined) {
      return `Cannot use ${origin}: there is no such flag, see --help`;
    }
    if (value === "") {
      return `Cannot use ${origin} "": it needs a value (one that begins ` +
        `with a hyphen is given as ${origin}=VALUE)`;
    }
    // A switch that is not there comes as false; the environment may set it.
    if (value !== undefined && value !== false) {
      given.set(name, { origin, value: value as string | boolean });
    }
  }
  return null;
}

function takeOperands(
  spec: ProgramSpec,
  operands: string[],
  given: Map<string, Given>,
): string | null {
  const wanted = spec.operands?.names ?? [];
  if (operands.length === 0) return null;
  const shown = operands.join(" ");
  if (spec.operands === undefined || operands.length !== wanted.length) {
    const rule = wanted.length === 0 ? "none" : wanted.join(" ");
    return `Cannot use operands "${shown}": expected ${rule}`;
  }
  const { setting, join } = spec.operands;
  if (given.has(setting)) {
    return `Cannot use operands "${shown}": ${
      flagOf(setting)
    } says the same, give one of the two`;
  }
  given.set(setting, { origin: wanted.join(" "), value: join(operands) });
  return null;
}

function takeEnvironment(
  spec: ProgramSpec,
  environment: ReadEnvironment,
  given: Map<string, Given>,
): void {
  for (const [name, schema] of Object.entries(spec.settings.entries)) {
    if (given.has(name)) continue;
    const origin = variableOf(name);
    const text = environment(origin);
    if (text === undefined) continue;
    const value = isSwitch(schema as v.GenericSchema) ? toSwitch(text) : text;
    given.set(name, { origin, value });
  }
}

/** What is neither stays text, which the schema refuses with its rule. */
function toSwitch(text: string): string | boolean {
  if (text === "1" || text === "true") return true;
  if (text === "0" || text === "false") return false;
  return text;
}

function check<S extends SettingsSchema>(
  spec: ProgramSpec<S>,
  given: Map<string, Given>,
): SettingsResult<v.InferOutput<S>> {
  const values = Object.fromEntries(
    [...given].map(([name, { value }]) => [name, value]),
  );
  const result = v.safeParse(spec.settings, values);
  if (result.success) return { kind: "run", settings: result.output };
  const [issue] = result.issues;
  const name = String(issue.path?.[0]?.key);
  const from = given.get(name);
  const { setting, names = [] } = spec.operands ?? {};
  const wanted = setting === name ? names.join(" ") : flagOf(name);
  const message = from === undefined
    ? `Cannot do without ${wanted}: it has no default`
    : `Cannot use ${from.origin} "${from.value}": ${issue.message}`;
  return { kind: "bad_usage", message };
}
