/**
 * What the program can be told: flags, the same in the environment, and their text.
 * A flag beats the environment, that beats the default.
 *
 * @module
 */

import * as v from "../../deps/valibot.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";
import { GROUP } from "../client/options.ts";
import { NODE_NUMBERS } from "../server/node.ts";

const LOG_LEVELS = ["debug", "info", "warn", "error", "off"] as const;

const whole = (schema: v.GenericSchema<number, number>) =>
  v.pipe(
    v.string(),
    v.regex(/^\d{1,15}$/, "expected a whole number"),
    v.transform(Number),
    schema,
  );
const text = v.pipe(v.string(), v.nonEmpty("it needs a value"));

const address = v.pipe(
  text,
  v.check(
    (given) => /^unix:./.test(given) || isHostAndPort(given),
    "expected HOST:PORT with a port from 0 to 65535, or unix:PATH",
  ),
);

/** A flag: its schema, and its line of help. */
interface Flag {
  readonly schema: v.GenericSchema<string, unknown>;
  readonly help: string;
  readonly placeholder: string;
}

const FLAGS = {
  id: {
    schema: whole(NODE_NUMBERS.id),
    placeholder: "NUMBER",
    help: "Which of the coordinators this is, from 1 to --of; needed",
  },
  of: {
    schema: whole(NODE_NUMBERS.of),
    placeholder: "NUMBER",
    help: "How many coordinators there are; the same for all of them; needed",
  },
  replicas: {
    schema: whole(NODE_NUMBERS.replicas),
    placeholder: "NUMBER",
    help:
      "On how many coordinators each shard lies; the same for all of them " +
      "(default: 2)",
  },
  "lease-ms": {
    schema: whole(NODE_NUMBERS.leaseMs),
    placeholder: "MS",
    help: "After how much silence another one answers in its place (default: " +
      `${COORDINATOR_LIMITS.coordinatorLeaseMs})`,
  },
  group: {
    schema: v.pipe(
      text,
      v.regex(GROUP, "expected at most 24 letters, digits, - or _"),
    ),
    placeholder: "NAME",
    help: "The name of the set, if there is more than one at the broker",
  },
  daemon: {
    schema: address,
    placeholder: "unix:PATH|HOST:PORT",
    help: "Where the daemon listens (default: this host's daemon)",
  },
  "token-file": {
    schema: text,
    placeholder: "FILE",
    help:
      "The file with the daemon's token (default: where the daemon puts it)",
  },
  "log-level": {
    schema: v.picklist(LOG_LEVELS, `expected one of ${LOG_LEVELS.join(", ")}`),
    placeholder: "LEVEL",
    help: "The least important events to log (default: info)",
  },
} as const satisfies Record<string, Flag>;

type FlagName = keyof typeof FLAGS;

/** The program's settings. */
export interface ProgramSettings {
  id: number;
  of: number;
  replicas?: number;
  leaseMs?: number;
  group?: string;
  daemon?: string;
  tokenFile?: string;
  logLevel: typeof LOG_LEVELS[number];
}

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
export type SettingsResult =
  | { kind: "run"; settings: ProgramSettings }
  | { kind: "print"; text: string }
  | { kind: "bad_usage"; message: string };

/** Reads the settings; a message names flag, value and rule. */
export function readSettings(
  args: readonly string[],
  environment: (name: string) => string | undefined,
  parse: ParseArguments,
): SettingsResult {
  const names = Object.keys(FLAGS) as FlagName[];
  const { _: operands, help, h: _, ...flags } = parse([...args], {
    string: ["_", ...names],
    boolean: ["help"],
    alias: { h: "help" },
  });
  if (help === true) return { kind: "print", text: usage() };
  if (operands.length > 0) {
    return badUsage(`Cannot use "${operands.join(" ")}": expected flags only`);
  }
  const values: Record<string, unknown> = {};
  for (const flag of Object.keys(flags)) {
    if (!names.includes(flag as FlagName)) {
      const shown = flag.length === 1 ? `-${flag}` : `--${flag}`;
      return badUsage(
        `Cannot use ${shown}: there is no such flag, see --help`,
      );
    }
  }
  for (const name of names) {
    const problem = readOne(name, flags[name], environment, values);
    if (problem !== null) return badUsage(problem);
  }
  const { id, of } = values as { id?: number; of?: number };
  for (const name of ["id", "of"] as const) {
    if (values[name] === undefined) {
      return badUsage(`Cannot do without --${name}: it has no default`);
    }
  }
  if (id! > of!) {
    return badUsage(`Cannot use --id "${id}": expected at most --of, ${of}`);
  }
  const settings = { logLevel: "info", ...values };
  return { kind: "run", settings: settings as unknown as ProgramSettings };
}

function readOne(
  name: FlagName,
  given: unknown,
  environment: (name: string) => string | undefined,
  values: Record<string, unknown>,
): string | null {
  const variable = `MOM_${name.replaceAll("-", "_").toUpperCase()}`;
  const text = given ?? environment(variable);
  if (text === undefined) return null;
  const origin = given === undefined ? variable : `--${name}`;
  const result = v.safeParse(FLAGS[name].schema, text, { abortEarly: true });
  if (!result.success) {
    return `Cannot use ${origin} "${text}": ${result.issues[0].message}`;
  }
  const key = name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
  values[key] = result.output;
  return null;
}

function isHostAndPort(given: string): boolean {
  const [, port] = /^.+:(\d{1,5})$/.exec(given) ?? [];
  return port !== undefined && Number(port) <= 65_535;
}

function badUsage(message: string): SettingsResult {
  return { kind: "bad_usage", message };
}

function usage(): string {
  const rows = Object.entries(FLAGS).map(([name, { placeholder, help }]) => {
    const variable = `MOM_${name.replaceAll("-", "_").toUpperCase()}`;
    return `  --${name} ${placeholder}   ${variable}\n      ${help}`;
  });
  return [
    "Keeps semaphores and values that processes share, with others of its kind.",
    "",
    "Usage: deno task coordinator --id NUMBER --of NUMBER [flags]",
    "",
    "Flags, each with its environment variable:",
    ...rows,
    "  --help, -h\n      Prints this",
    "",
  ].join("\n");
}
