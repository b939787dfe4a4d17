/**
 * Disasters of a fault run, each with what it excuses: a store put back to an
 * earlier state, a disk that is lost, a folder that runs twice, messages that
 * somebody removes. All that happens outside of it must come out as ever.
 *
 * @module
 */

import { eventually, pause } from "../helpers/eventually.ts";
import type { Random } from "../helpers/random.ts";
import { ROOT, taskCommand } from "../process/commands.ts";
import type { Cluster } from "../process/cluster.ts";
import { Slot } from "../process/slot.ts";
import { copyFolder } from "../helpers/copy_folder.ts";
import { MACHINES, TOPICS } from "./cast.ts";
import { type Attempt, type Excuse, NO_EXCUSE } from "./judge.ts";

/** The kinds of disaster. */
export const DISASTERS = ["restore", "lost-disk", "clone", "purge"] as const;

/** One of them. */
export type DisasterKind = (typeof DISASTERS)[number];

/** What a disaster works with. */
export interface DisasterContext {
  readonly cluster: Cluster;
  readonly random: Random;
  /** How long the writers write. */
  readonly durationMs: number;
}

/** Lets a disaster happen; gives what it excuses. */
export async function strike(
  kind: DisasterKind,
  context: DisasterContext,
): Promise<Excuse> {
  switch (kind) {
    case "restore":
      return await restore(context);
    case "lost-disk":
      return await loseDisk(context);
    case "clone":
      return await clone(context);
    case "purge":
      return await purge(context);
    default:
      return kind satisfies never;
  }
}

/** The broker goes back to a backup that was made a moment ago. */
async function restore(context: DisasterContext): Promise<Excuse> {
  const { cluster, random, durationMs } = context;
  const file = `${cluster.folder.path}/backup-${random.integer(0, 1e9)}`;
  const data = `${cluster.folder.path}/broker`;
  const startMs = Date.now();
  await pause(random.integer(0, durationMs / 2));
  const backedUpMs = Date.now();
  await runCommand(cluster, "broker", ["backup", file, "--data", data]);
  await pause(random.integer(0, durationMs / 2));
  await cluster.broker.kill();
  const killedMs = Date.now();
  await runCommand(cluster, "broker", ["restore", file, "--data", data]);
  await cluster.broker.start();
  return {
    // Acknowledged since the backup, by the broker that is no more.
    mayLose: (attempt) =>
      isWithin(attempt, 0, killedMs) &&
      (attempt.answeredMs ?? 0) >= backedUpMs,
    // Settled since the backup; or sent again, as its receipt was lost with the broker.
    mayRepeat: (attempt, _, isMarked) =>
      isWithin(attempt, startMs, killedMs) &&
      (isMarked || attempt.level !== "broker" ||
        (attempt.answeredMs ?? Infinity) > killedMs),
    histories: 1,
  };
}

/** A daemon's disk is gone, a new one is in its place. */
async function loseDisk(context: DisasterContext): Promise<Excuse> {
  const { cluster, random, durationMs } = context;
  const machine = random.pick(MACHINES);
  const daemon = cluster.daemon(machine);
  const startMs = Date.now();
  await pause(random.integer(100, durationMs));
  await daemon.kill();
  const killedMs = Date.now();
  await Deno.remove(`${cluster.folder.path}/${machine}`, { recursive: true });
  await daemon.start();
  const isHere = (user: string) => user.endsWith(`@${machine}`);
  return {
    // In its custody for its users; or in its outbox alone, of its users.
    mayLose: (attempt, user) =>
      isWithin(attempt, startMs, killedMs) &&
      (isHere(user) || attempt.level === "daemon"),
    // Taken from it, and not yet told to the broker.
    mayRepeat: (attempt, user, isMarked) =>
      isWithin(attempt, startMs, killedMs) && isHere(user) && isMarked,
    histories: 0,
  };
}

/** A copy of a daemon's folder is started beside it, and turned away. */
async function clone(context: DisasterContext): Promise<Excuse> {
  const { cluster, random, durationMs } = context;
  const machine = random.pick(MACHINES);
  const daemon = cluster.daemon(machine);
  const folder = `${cluster.folder.path}/${machine}`;
  const copy = `${folder}-${random.integer(0, 1e9)}`;
  await pause(random.integer(100, durationMs / 2));
  await daemon.kill();
  await copyFolder(folder, copy);
  await daemon.start();
  await using other = new Slot({
    name: `clone of ${machine}`,
    command: taskCommand("daemon"),
    args: [
      ...["--broker", cluster.brokerAddress, "--machine", machine],
      ...["--listen", `unix:${copy}.sock`, "--data", copy],
    ],
    env: cluster.env,
  });
  // The original first: of two that come at once either may stay.
  await eventually("the link of the original", async () => {
    return (await cluster.daemonStatus(machine)).link?.state === "up";
  });
  await other.start();
  await eventually("the clone being turned away", () => {
    return other.program.stderr.includes("machine_in_use");
  });
  await pause(random.integer(0, durationMs / 4));
  const status = await cluster.daemonStatus(machine);
  if (status.link?.state !== "up") {
    throw new Error(`The clone of ${machine} took its link`);
  }
  await other.kill();
  return NO_EXCUSE;
}

/** Somebody removes the messages of a topic. */
async function purge(context: DisasterContext): Promise<Excuse> {
  const { cluster, random, durationMs } = context;
  const topic = random.pick(TOPICS);
  const data = `${cluster.folder.path}/broker`;
  const startMs = Date.now();
  await pause(random.integer(100, durationMs));
  await cluster.broker.kill();
  const killedMs = Date.now();
  await eventually("a topic to purge", async () => {
    const args = ["purge", "--topic", topic, "--data", data];
    await runCommand(cluster, "broker", args);
    return true;
  });
  await cluster.broker.start();
  return {
    mayLose: (attempt) =>
      attempt.topic === topic && isWithin(attempt, startMs, killedMs),
    mayRepeat: () => false,
    histories: 0,
  };
}

function isWithin(attempt: Attempt, fromMs: number, toMs: number): boolean {
  const { beganMs = 0 } = attempt;
  return fromMs <= beganMs && beganMs <= toMs;
}

/** A command of a program, which must succeed. */
async function runCommand(
  cluster: Cluster,
  program: "broker" | "daemon",
  args: readonly string[],
): Promise<void> {
  const command = taskCommand(program);
  const { code, stderr } = await new Deno.Command(command.program, {
    args: [...command.args, ...args],
    cwd: ROOT,
    env: cluster.env,
    clearEnv: true,
    signal: AbortSignal.timeout(30_000),
  }).output();
  if (code === 0) return;
  const complaint = new TextDecoder().decode(stderr);
  throw new Error(`${program} ${args[0]} ended with ${code}: ${complaint}`);
}
