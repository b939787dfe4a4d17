/**
 * Which tests run beside which. Two lanes go side by side, each one file after
 * another in a process of its own: what a process has but once, its umask and its
 * environment, is no lane's but its own. Then come those that fill all cores by
 * themselves, and would take from others the time that these count on.
 *
 * @module
 */

/** A run of `deno test`. */
export interface Lane {
  readonly name: string;
  /** What is told to `deno test`: files, folders and flags. */
  readonly args: readonly string[];
  /** Which half of the ports its tests take, so that no lane gets another's. */
  readonly ports: "low" | "high";
}

/**
 * About half of the time of all but `ALONE`: mostly what runs within one process,
 * and the examples of the documentation. Nothing of them is in `ALONE`: told many
 * places, Deno runs also what it is to leave out of one.
 */
const FIRST: readonly string[] = [
  "README.md",
  "mod.ts",
  "broker",
  "coordinator",
  "daemon",
  "deps",
  "protocol",
  "storage",
  "tests/bench",
  "tests/broker",
  "tests/client",
  "tests/daemon",
  "tests/disk",
  "tests/links",
  "tests/process",
  "tests/program",
  "tests/protocol",
  "tests/recovery",
  "tests/security",
  "tests/storage",
  "tests/time",
  "tests/transport",
];

/**
 * As many processes as there are cores, or more, and all of them busy; and what
 * measures how soon others are served.
 */
const ALONE: readonly string[] = [
  "tests/coordinator/counter_test.ts",
  "tests/fuzz/siege_test.ts",
  "tests/sim/sim_test.ts",
];

/**
 * The lanes, in groups that come one after another; those of a group run at the
 * same time. What nobody names is in the second lane: every test is in one.
 */
export const LANES: readonly (readonly Lane[])[] = [
  [
    {
      name: "first lane",
      args: FIRST,
      ports: "low",
    },
    {
      name: "second lane",
      args: [`--ignore=${[...FIRST, ...ALONE]}`],
      ports: "high",
    },
  ],
  [{ name: "alone", args: ALONE, ports: "low" }],
];
