/**
 * What each executable is made of and what it may do. Pure.
 *
 * @module
 */

/** One executable. */
export interface Recipe {
  /** Its name: `mom-broker`. */
  name: string;
  /** The file that it runs. */
  main: string;
  /** Environment variables that it may read. */
  env: string;
  /** What it may ask of the system. */
  sys: readonly string[];
}

/** What permissions are narrowed to, as in Deno's flags; unset: not at all. */
export interface Scope {
  /** Hosts and unix sockets. */
  net?: string;
  /** Absolute paths. */
  read?: string;
  /** Absolute paths. */
  write?: string;
}

/** What is to be compiled, and how. */
export interface CompileOptions {
  /** The file to write. */
  output: string;
  /** Another system's triple. */
  target?: string;
  scope?: Scope;
}

const ENV = "MOM_*,HOME,XDG_STATE_HOME";

/** All executables. */
export const RECIPES: readonly Recipe[] = [
  {
    name: "mom-broker",
    main: "broker/main.ts",
    env: `${ENV},DENO_KV_ACCESS_TOKEN`,
    sys: ["statfs", "umask"],
  },
  {
    name: "mom-daemon",
    main: "daemon/main.ts",
    env: ENV,
    sys: ["hostname", "statfs", "umask"],
  },
  {
    name: "mom-shell",
    main: "daemon/cli/main.ts",
    env: ENV,
    sys: ["hostname"],
  },
];

/** All that Deno's sys permission knows and one of these could be denied. */
const SYS_KINDS = [
  "cpus",
  "getPriority",
  "gid",
  "homedir",
  "hostname",
  "loadavg",
  "networkInterfaces",
  "osRelease",
  "osUptime",
  "setPriority",
  "statfs",
  "systemMemoryInfo",
  "uid",
  "username",
];

/** The permissions of an executable: never to run others, nor foreign code. */
export function permissionsOf(
  { env, sys }: Recipe,
  scope: Scope = {},
): string[] {
  const scoped = (["net", "read", "write"] as const).map((kind) =>
    scope[kind] === undefined ? `--allow-${kind}` : allow(kind, scope[kind])
  );
  return [...scoped, allow("env", env), ...sysFlags(sys)];
}

/** The command line of `deno` that compiles an executable. */
export function compileArgs(recipe: Recipe, options: CompileOptions): string[] {
  const { output, target, scope } = options;
  return [
    "compile",
    "--quiet",
    "--no-prompt",
    "--exclude-unused-npm",
    ...permissionsOf(recipe, scope),
    ...target === undefined ? [] : ["--target", target],
    "--output",
    output,
    recipe.main,
  ];
}

function allow(kind: string, values: string): string {
  return `--allow-${kind}=${values}`;
}

/** Deno refuses umask as a value, so the others are denied. */
function sysFlags(kinds: readonly string[]): string[] {
  if (!kinds.includes("umask")) return [allow("sys", kinds.join(","))];
  const others = SYS_KINDS.filter((kind) => !kinds.includes(kind));
  return ["--allow-sys", `--deny-sys=${others.join(",")}`];
}
