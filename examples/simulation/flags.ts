/**
 * The flags of a simulation. Pure; the splitting of the command line is passed in.
 *
 * @module
 */

/** A flag whose value is a number. */
export interface NumberFlag {
  /** What it is when it is not given. */
  is: number;
  /** The least that it may be. */
  min: number;
  /** The most that it may be. */
  max: number;
  /** Whether parts of one are allowed. @default {false} */
  isFraction?: boolean;
  /** A rule of its own: what is wrong with a value, or `null`. */
  rule?: (value: number) => string | null;
  /** What it is about. */
  about: string;
}

/** All flags of a simulation. */
export interface Flags {
  /** Those with a number, by name: `door-seconds`. */
  numbers: Readonly<Record<string, NumberFlag>>;
  /** Those that are yes or no, with what they are about. */
  switches: Readonly<Record<string, string>>;
}

/** What was given. */
export interface Settings {
  /** By name in camel case: `doorSeconds`. */
  numbers: Record<string, number>;
  /** By name in camel case. */
  switches: Record<string, boolean>;
  /** Where to write the log. */
  log: string | null;
  /** A log to check in place of playing. */
  check: string | null;
}

/** Splits a command line, as `parseArgs` of `@std/cli` does. */
export type Parse = (
  args: string[],
  options: {
    string: string[];
    boolean: string[];
    unknown: (arg: string) => boolean;
  },
) => Record<string, unknown>;

/** Flags that every simulation has. */
export const COMMON_FLAGS: Readonly<Record<string, NumberFlag>> = {
  seed: {
    is: 0,
    min: 1,
    max: 2 ** 31,
    about: "of all chance; drawn if absent",
  },
  speed: {
    is: 20,
    min: 0.1,
    max: 1_000,
    isFraction: true,
    about: "how many of its seconds pass in one of ours",
  },
  machines: { is: 2, min: 2, max: 4, about: "daemons" },
  coordinators: { is: 3, min: 1, max: 9, about: "coordinators, and shards" },
  replicas: { is: 2, min: 1, max: 9, about: "coordinators that keep a shard" },
  "coordinator-lease-ms": {
    is: 1_000,
    min: 100,
    max: 60_000,
    about: "silence after which another coordinator takes over",
  },
  "lease-ms": {
    is: 30_000,
    min: 1_000,
    max: 600_000,
    about: "silence after which a holder is taken for dead",
  },
};

/** Wrong usage: names flag, value and rule. */
export class UsageError extends Error {}

/**
 * Reads a command line.
 *
 * @throws {UsageError}
 */
export function readFlags(
  args: readonly string[],
  flags: Flags,
  parse: Parse,
): Settings {
  const names = Object.keys(flags.numbers);
  const given = parse([...args], {
    string: [...names, "log", "check"],
    boolean: Object.keys(flags.switches),
    unknown: (arg) => {
      throw new UsageError(`${arg}: there is no such flag`);
    },
  });
  const numbers = names.map((
    name,
  ) => [toCamel(name), readNumber(name, flags.numbers[name]!, given[name])]);
  const switches = Object.keys(flags.switches).map((
    name,
  ) => [toCamel(name), given[name] === true]);
  return {
    numbers: Object.fromEntries(numbers),
    switches: Object.fromEntries(switches),
    log: readText("log", given.log),
    check: readText("check", given.check),
  };
}

/** Tells all flags, a line each. */
export function tellFlags(flags: Flags): string[] {
  const lines = Object.entries(flags.numbers).map(([name, { is, about }]) =>
    tellFlag(`${name} ${is === 0 ? "N" : is}`, about)
  );
  for (const [name, about] of Object.entries(flags.switches)) {
    lines.push(tellFlag(name, about));
  }
  lines.push(
    tellFlag("log FILE", "where to write all events, one JSON a line"),
  );
  lines.push(tellFlag("check FILE", "only checks a log of before"));
  return lines;
}

function tellFlag(name: string, about: string): string {
  return `  --${name.padEnd(28)} ${about}`;
}

function readText(name: string, value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value === "string" && value !== "") return value;
  throw new UsageError(`--${name} ${value}: must name one file`);
}

function readNumber(name: string, flag: NumberFlag, given: unknown): number {
  if (given === undefined) return flag.is;
  const value = typeof given === "string" && given.trim() !== ""
    ? Number(given)
    : NaN;
  const isFit = value >= flag.min && value <= flag.max;
  if (isFit && (flag.isFraction || Number.isInteger(value))) {
    const broken = flag.rule?.(value) ?? null;
    if (broken === null) return value;
    throw new UsageError(`--${name} ${given}: ${broken}`);
  }
  const what = flag.isFraction ? "a number" : "a whole number";
  throw new UsageError(
    `--${name} ${given}: must be ${what} from ${flag.min} to ${flag.max}`,
  );
}

function toCamel(name: string): string {
  return name.replace(/-(\w)/g, (_, char: string) => char.toUpperCase());
}
