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
  BEGIN_TOPIC,
  bufferName,
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

/** Items between the kill of a coordinator and its return. */
const ITEMS_WITHOUT = 10;

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
  const eating = Promise.all(
    all.map((id) => cast.ended(`philosopher-${id}`)),
  );
  const killing = settings.switches.killCoordinator
    ? killInTurn(company, eating.then(() => false))
    : undefined;
  await mom.publish(BEGIN_TOPIC, "eat");
  await Promise.all([eating, killing]);
}

/** Kills and brings back one coordinator after another, or until it is `over`. */
async function killInTurn(
  company: Company<PhilosopherEvent>,
  over: Promise<false>,
): Promise<void> {
  const { chronicle, settings, stage } = company;
  const { coordinators, philosophers, items } = settings.numbers as Numbers;
  const share = Math.floor(philosophers * items / (coordinators + 2));
  const counted = (count: number) =>
    Promise.race([
      chronicle.seen(({ kind }) => kind === "counted", count).then(() => true),
      over,
    ]);
  for (const index of numbers(coordinators)) {
    const [id, program] = [index + 1, `coordinator ${index + 1}`];
    if (!await counted(Math.max(1, share - ITEMS_WITHOUT))) return;
    await stage.killCoordinator(id);
    await chronicle.record({ kind: "killed", program });
    await Promise.race([counted(ITEMS_WITHOUT), mayBeStuck(settings)]);
    await chronicle.record({ kind: "restarts", program });
    await stage.startCoordinator(id);
    await chronicle.record({ kind: "back", program });
  }
}

type Numbers = Record<string, number>;

/** Resolves when others have had the time to take over, whether they could or not. */
function mayBeStuck({ numbers }: Settings): Promise<void> {
  const waitMs = 3 * numbers.coordinatorLeaseMs!;
  return new Promise((resolve) => setTimeout(resolve, waitMs));
}
