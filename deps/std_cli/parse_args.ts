/**
 * A stand-in for `@std/cli/parse-args`, written from its public documentation and
 * resting on minimist, which that parser descends from: the same options, the
 * same results. `deno.json` puts it in the package's place (`links`), so that mom
 * needs no registry but npm's.
 *
 * Where it differs: types are plain (no inference from the options), and a flag
 * that is both `boolean` and `collect` is refused.
 *
 * @module
 */

import { minimist } from "../minimist.ts";

/** How to read a command line. */
export interface ParseOptions {
  /**
   * Puts what follows `--` in the result's `"--"` instead of its `_`.
   *
   * @default {false}
   */
  "--"?: boolean;
  /** Other names of a flag; the result has all of them. */
  alias?: Record<string, string | readonly string[]>;
  /**
   * Flags that are yes or no, `false` when absent; `true`: every flag with two
   * hyphens and no equal sign.
   */
  boolean?: boolean | string | readonly string[];
  /** Flags that may be given again and again: an array, `[]` when absent. */
  collect?: string | readonly string[];
  /** What absent flags are. */
  default?: Record<string, unknown>;
  /** Flags of which `--no-FLAG` makes `false`. */
  negatable?: string | readonly string[];
  /**
   * Puts everything from the first operand on in `_`.
   *
   * @default {false}
   */
  stopEarly?: boolean;
  /** Flags that stay text though they look like numbers; `_` for operands. */
  string?: string | readonly string[];
  /** Called with what no option names; `false` leaves it out. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What a command line holds: flags by name, operands in `_`. */
export type Args = Record<string, unknown> & {
  /** The operands. */
  _: (string | number)[];
  /** What follows `--`, if that was asked for. */
  "--"?: string[];
};

/**
 * Stands before `no-`, so that minimist, which negates every flag, does not see
 * those that are not negatable.
 */
const MARK = "\u0000";

/**
 * Splits a command line into flags and operands.
 *
 * @param args The command line without the program, `Deno.args`.
 * @param options Names of flags by kind.
 *
 * @example
 * ```ts
 * import { parseArgs } from "./parse_args.ts";
 *
 * const args = parseArgs(["--foo", "--bar=baz", "quux.txt"]);
 * if (args.foo !== true || args.bar !== "baz" || args._[0] !== "quux.txt") throw args;
 * ```
 */
export function parseArgs(args: string[], options: ParseOptions = {}): Args {
  const booleans = toList(options.boolean);
  const collects = toList(options.collect);
  const both = collects.find((name) => booleans.includes(name));
  if (both !== undefined) {
    throw new TypeError(
      `Cannot parse arguments: "${both}" is both boolean and collect`,
    );
  }
  const negatable = withAliases(toList(options.negatable), options.alias);
  const parsed = minimist(args.map((arg) => hide(arg, negatable)), {
    "--": options["--"] ?? false,
    alias: markKeys(options.alias ?? {}, (names) => toList(names).map(mark)),
    boolean: options.boolean === true ? true : booleans.map(mark),
    default: markKeys(options.default ?? {}, (value) => value),
    stopEarly: options.stopEarly ?? false,
    string: toList(options.string).map(mark),
    ...(options.unknown && { unknown: reportTo(options.unknown) }),
  });
  const collected = withAliases(collects, options.alias);
  return finish(parsed, collected, options.default ?? {});
}

function toList(names: boolean | string | readonly string[] = []): string[] {
  if (typeof names === "boolean") return [];
  return typeof names === "string" ? [names] : [...names];
}

function withAliases(
  names: string[],
  alias: ParseOptions["alias"] = {},
): Set<string> {
  const all = new Set(names);
  for (const [name, others] of Object.entries(alias)) {
    const group = [name, ...toList(others)];
    if (group.some((each) => all.has(each))) {
      for (const each of group) all.add(each);
    }
  }
  return all;
}

function hide(arg: string, negatable: ReadonlySet<string>): string {
  const name = /^--no-([^=]+)/.exec(arg)?.[1];
  if (name === undefined || negatable.has(name)) return arg;
  return `--${MARK}${arg.slice(2)}`;
}

function mark(name: string): string {
  return name.startsWith("no-") ? MARK + name : name;
}

function unmark(text: string): string {
  return text.replace(MARK, "");
}

function markKeys<T, U>(
  record: Record<string, T>,
  map: (value: T) => U,
): Record<string, U> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [mark(name), map(value)]),
  );
}

function reportTo(
  unknown: NonNullable<ParseOptions["unknown"]>,
): (arg: string) => boolean {
  return (marked) => {
    const arg = unmark(marked);
    const flag = /^--?([^=]+)(?:=(.*))?$/s.exec(arg);
    const told = flag === null
      ? unknown(arg)
      : unknown(arg, flag[1], flag[2] ?? true);
    return told !== false;
  };
}

function finish(
  parsed: ReturnType<typeof minimist>,
  collected: ReadonlySet<string>,
  defaults: Record<string, unknown>,
): Args {
  const { _: operands, "--": rest, ...flags } = parsed;
  const args: Args = {
    _: (operands as (string | number)[]).map((operand) =>
      typeof operand === "string" ? unmark(operand) : operand
    ),
  };
  if (rest !== undefined) args["--"] = rest.map(unmark);
  for (const [marked, value] of Object.entries(flags)) {
    const name = unmark(marked);
    if (collected.has(name)) args[name] = toArray(value);
    else args[name] = value === defaults[name] ? value : lastOf(value);
  }
  for (const name of collected) args[name] ??= [];
  return args;
}

function toArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}

/** minimist gathers what is given twice; here the last one counts. */
function lastOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.at(-1);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, lastOf(inner)]),
  );
}
