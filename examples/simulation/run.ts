/**
 * Runs a simulation: starts all that it needs, plays it, ends it all, and looks
 * at its log.
 *
 * @module
 */

import { Mom } from "../../mod.ts";
import { Chronicle } from "./chronicle.ts";
import { type Finding, judge } from "./conditions.ts";
import { type CommonEvent, type Entry, readLog } from "./entry.ts";
import type { Settings } from "./flags.ts";
import { perform } from "./perform.ts";
import { Screen } from "./screen.ts";
import { Interrupted, Signals } from "./signals.ts";
import type { Simulation, View } from "./simulation.ts";
import { Stage } from "./stage.ts";

/** Of one rule; the rest is counted. */
const FAULTS_TOLD = 5;

/** Plays a simulation; gives the exit code: 0 if its log shows no fault. */
export async function runSimulation<E extends { kind: string }>(
  simulation: Simulation<E>,
  settings: Settings,
): Promise<number> {
  const view = simulation.view(settings);
  const screen = new Screen((size) => view.draw(size));
  using signals = new Signals(simulation.closesGently(settings));
  const { seed, speed } = settings.numbers;
  screen.say(`${simulation.name}: seed ${seed}, speed ${speed}; starting`);
  let findings: Finding[];
  try {
    const log = await play(simulation, settings, { view, screen, signals });
    findings = judge(readLog<E>(log), simulation.conditions);
  } catch (error) {
    screen.close();
    if (error instanceof Interrupted) {
      screen.say("Ended from outside; nothing is left behind");
      return error.code;
    }
    screen.say(error instanceof Error ? error.message : String(error), "bad");
    return 1;
  }
  const isKept = tellFindings(findings, screen);
  if (isKept) screen.say(simulation.lastWords, "strong");
  return isKept ? 0 : 1;
}

/** Checks a log of before; gives the exit code. */
export async function checkLog<E extends { kind: string }>(
  simulation: Simulation<E>,
  path: string,
): Promise<number> {
  const screen = new Screen(() => []);
  let log;
  try {
    log = readLog<E>(await Deno.readTextFile(path));
  } catch (error) {
    screen.say(`Cannot read ${path}: ${error}`, "bad");
    return 1;
  }
  return tellFindings(judge(log, simulation.conditions), screen) ? 0 : 1;
}

/** What shows a run and what can end it. */
interface Around<E> {
  view: View<E | CommonEvent>;
  screen: Screen;
  signals: Signals;
}

/** Plays it on a stage of its own; gives the text of its log. */
async function play<E extends { kind: string }>(
  simulation: Simulation<E>,
  settings: Settings,
  { view, screen, signals }: Around<E>,
): Promise<string> {
  const { machines, coordinators, replicas, coordinatorLeaseMs } = settings
    .numbers as Record<string, number>;
  await using stage = await Stage.start({
    machines,
    coordinators,
    replicas,
    leaseMs: coordinatorLeaseMs,
  });
  const path = settings.log ?? `${stage.nest.folder}/log`;
  using file = await Deno.open(path, {
    write: true,
    create: true,
    truncate: true,
  });
  await using mom = await Mom.connect({
    name: "main",
    daemon: stage.daemon(0),
  });
  const onEntry = (entry: Entry<E | CommonEvent>) => {
    screen.changed(view.take(entry));
  };
  const topic = `${simulation.name}/events`;
  const chronicle = await Chronicle.open<E>(mom, topic, file, onEntry);
  screen.open();
  await perform(simulation, settings, {
    stage,
    mom,
    chronicle,
    signals,
    topic,
  });
  await mom.close();
  for (const end of await stage.end()) {
    chronicle.add({ kind: "program_ended", ...end });
  }
  screen.close();
  return await Deno.readTextFile(path);
}

/** Tells which rules were kept and which were not. */
function tellFindings(findings: readonly Finding[], screen: Screen): boolean {
  for (const { text, faults } of findings) {
    const isKept = faults.length === 0;
    screen.say(
      `${isKept ? "kept  " : "BROKEN"}  ${text}`,
      isKept ? "good" : "bad",
    );
    for (const fault of faults.slice(0, FAULTS_TOLD)) {
      screen.say(`          ${fault}`);
    }
    const more = faults.length - FAULTS_TOLD;
    if (more > 0) screen.say(`          and ${more} more`);
  }
  return findings.every(({ faults }) => faults.length === 0);
}
