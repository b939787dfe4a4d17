/**
 * Philosophers round a table: every other one makes items, its neighbour on the
 * right takes them.
 *
 * @module
 */

import {
  COMMON_FLAGS,
  type Flags,
  type Settings,
} from "../simulation/flags.ts";
import { numbers } from "../simulation/numbers.ts";
import type {
  Company,
  Resource,
  Simulation,
} from "../simulation/simulation.ts";
import { PHILOSOPHER_CONDITIONS } from "./conditions.ts";
import {
  bufferName,
  COURSE_TOPIC,
  isProducer,
  type PhilosopherEvent,
  stickName,
} from "./event.ts";
import { PhilosopherView } from "./view.ts";

const seconds = (is: number, about: string) => ({
  is,
  min: 0,
  max: 3_600,
  isFraction: true,
  about,
});

/** What can be told to the philosophers. */
export const PHILOSOPHER_FLAGS: Flags = {
  numbers: {
    ...COMMON_FLAGS,
    philosophers: {
      is: 30,
      min: 2,
      max: 200,
      rule: (count) => count % 2 === 0 ? null : "must be even",
      about: "philosophers, an even number",
    },
    items: { is: 6, min: 1, max: 1_000, about: "items each makes or takes" },
    "eat-seconds-min": seconds(1, "that eating takes at least"),
    "eat-seconds-max": seconds(3, "that eating takes at most"),
    "rest-seconds-min": seconds(1, "that resting takes at least"),
    "rest-seconds-max": seconds(3, "that resting takes at most"),
  },
  switches: {
    "kill-coordinator":
      "kills each coordinator in turn while they eat, and brings it back",
  },
};

/** Items from a kill to the return: others have taken over then. */
const ITEMS_WITHOUT = 6;
/** Leases after which another one has taken over. */
const TAKE_OVER_LEASES = 1.5;

/** The simulation. */
export const PHILOSOPHERS: Simulation<PhilosopherEvent> = {
  name: "philosophers",
  lastWords: "Simulation finished",
  resources,
  conditions: PHILOSOPHER_CONDITIONS,
  view: (settings) => new PhilosopherView(settings.numbers),
  closesGently: () => false,
  perform,
};

function resources(settings: Settings): Resource[] {
  const all = numbers(settings.numbers.philosophers!);
  return [
    ...all.map((id) =>
      ({ what: "semaphore", name: stickName(id), is: 1 }) as const
    ),
    ...all.filter(isProducer).map((id) =>
      ({ what: "value", name: bufferName(id), is: 0 }) as const
    ),
  ];
}

async function perform(company: Company<PhilosopherEvent>): Promise<void> {
  const { cast, chronicle, card, mom, settings } = company;
  const all = numbers(settings.numbers.philosophers!);
  const ready = chronicle.seen(({ kind }) => kind === "ready", all.length);
  for (const id of all) {
    cast.start("philosophers/philosopher.ts", card(`philosopher-${id}`, id));
  }
  await ready;
  const turns = killingTurns(company);
  await mom.publish(COURSE_TOPIC, "first");
  if (settings.switches.killCoordinator) {
    await killInTurn(company, turns);
    await mom.publish(COURSE_TOPIC, "last");
  }
  for (const id of all) await cast.ended(`philosopher-${id}`);
}

/** For each coordinator, when so many items are counted: evenly over the meal. */
function killingTurns(
  { chronicle, settings }: Company<PhilosopherEvent>,
): Promise<void>[] {
  const { coordinators, philosophers, items } = settings.numbers as Numbers;
  // Before the last course, so that it comes to that.
  const all = philosophers * (items - 1);
  return numbers(coordinators).map((index) => {
    const turn = Math.floor((index + 1) * all / (coordinators + 1));
    return chronicle.seen(isCounted, Math.max(1, turn));
  });
}

/** Kills and brings back one coordinator after another. */
async function killInTurn(
  { chronicle, settings, stage }: Company<PhilosopherEvent>,
  turns: readonly Promise<void>[],
): Promise<void> {
  for (const [index, turn] of turns.entries()) {
    const [id, program] = [index + 1, `coordinator ${index + 1}`];
    await turn;
    await stage.killCoordinator(id);
    await chronicle.record({ kind: "killed", program });
    const counted = chronicle.seen(isCounted, ITEMS_WITHOUT);
    await Promise.race([counted, mayBeStuck(settings)]);
    await chronicle.record({ kind: "restarts", program });
    await stage.startCoordinator(id);
    await chronicle.record({ kind: "back", program });
  }
}

function isCounted({ kind }: { kind: string }): boolean {
  return kind === "counted";
}

type Numbers = Record<string, number>;

/**
 * Resolves when others have had the time to take over. Where they cannot, for want
 * of a second replica, or where all wait for the last course, nothing is counted.
 */
function mayBeStuck({ numbers }: Settings): Promise<void> {
  const waitMs = TAKE_OVER_LEASES * numbers.coordinatorLeaseMs!;
  return new Promise((resolve) => setTimeout(resolve, waitMs));
}
