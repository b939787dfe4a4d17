/**
 * How the programs under test are started: as the tasks of deno.json do it,
 * with the same permissions, unless the environment names others.
 *
 * `MOM_TEST_BROKER`, `MOM_TEST_DAEMON`, `MOM_TEST_SHELL`, `MOM_TEST_COORDINATOR` hold a command line each
 * (split at spaces): an executable to be tested in place of the sources.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };

/** A program and its first arguments. */
export interface Command {
  program: string;
  args: readonly string[];
}

/** The root of the sources; where every program is started. */
export const ROOT = decodeURIComponent(
  new URL("../../", import.meta.url).pathname,
);

/** The command of a task, or the one that the environment names instead. */
export function taskCommand(
  task: "broker" | "daemon" | "shell" | "coordinator",
  environment: Record<string, string> = Deno.env.toObject(),
): Command {
  const named = environment[`MOM_TEST_${task.toUpperCase()}`];
  const [program, ...args] = (named || config.tasks[task]).split(" ");
  return { program: program === "deno" ? Deno.execPath() : program, args };
}

/** The command of an example's task. */
export function exampleCommand(task: "museum" | "philosophers"): Command {
  const [, ...args] = config.tasks[task].split(" ");
  return {
    program: Deno.execPath(),
    args: [args[0]!, "--quiet", ...args.slice(1)],
  };
}

/** The command that runs a file of the tests with all it may need. */
export function testCommand(path: string): Command {
  const args = ["run", "--quiet", "--allow-all", `${ROOT}${path}`];
  return { program: Deno.execPath(), args };
}

/**
 * The environment of a program under test: this one's without any `MOM_`
 * setting, and with a state folder of the test's.
 */
export function testEnvironment(
  stateFolder: string,
  environment: Record<string, string> = Deno.env.toObject(),
): Record<string, string> {
  const kept = Object.entries(environment)
    .filter(([name]) => !name.startsWith("MOM_"));
  return {
    ...Object.fromEntries(kept),
    XDG_STATE_HOME: stateFolder,
    NO_COLOR: "1",
  };
}
