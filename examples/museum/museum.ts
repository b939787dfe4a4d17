/**
 * The museum: three doors, a guide, and people who come one after another.
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
import { MUSEUM_CONDITIONS } from "./conditions.ts";
import {
  type MuseumEvent,
  SEM_CAPACITY,
  SEM_TOUR,
  SEM_VACANCY,
  SHM_CAPACITY,
  SHM_TOUR,
} from "./event.ts";
import { MuseumView } from "./view.ts";

const seconds = (is: number, about: string, min = 0) => ({
  is,
  min,
  max: 3_600,
  isFraction: true,
  about,
});
const percent = (is: number, about: string, min = 0) => ({
  is,
  min,
  max: 100,
  about,
});

/** What can be told to the museum. */
export const MUSEUM_FLAGS: Flags = {
  numbers: {
    ...COMMON_FLAGS,
    doors: { is: 3, min: 1, max: 20, about: "doors" },
    people: { is: 12, min: 1, max: 500, about: "people who come" },
    capacity: { is: 6, min: 1, max: 500, about: "people inside at most" },
    party: { is: 3, min: 1, max: 500, about: "people who start a tour" },
    "spawn-percent": percent(
      81,
      "how often a try to send somebody succeeds",
      1,
    ),
    "tour-percent": percent(81, "how many of those inside want a tour"),
    "spawn-seconds": seconds(2, "between two tries"),
    "door-seconds": seconds(1, "that a door takes for a request"),
    "inside-seconds": seconds(5, "inside without a tour, at least"),
    "inside-extra-seconds": seconds(4, "on top of that, at most"),
    "tour-timeout-seconds": seconds(
      10,
      "between two calls for small parties",
      1,
    ),
    "tour-seconds": seconds(7, "that a tour takes"),
  },
  switches: { forever: "sends people until Ctrl+C, whatever --people says" },
};

/** The simulation. */
export const MUSEUM: Simulation<MuseumEvent> = {
  name: "museum",
  lastWords: "The museum has closed its doors",
  resources,
  conditions: MUSEUM_CONDITIONS,
  view: (settings) => new MuseumView(settings.numbers),
  closesGently: ({ switches }) => switches.forever === true,
  perform,
};

function resources({ numbers }: Settings): Resource[] {
  return [
    { what: "semaphore", name: SEM_CAPACITY, is: 1 },
    { what: "value", name: SHM_CAPACITY, is: numbers.capacity! },
    { what: "semaphore", name: SEM_TOUR, is: 0 },
    { what: "value", name: SHM_TOUR, is: 0 },
    { what: "semaphore", name: SEM_VACANCY, is: 1 },
  ];
}

async function perform(company: Company<MuseumEvent>): Promise<void> {
  const { cast, chronicle, card, settings } = company;
  const doors = numbers(settings.numbers.doors!).map((id) => `door-${id}`);
  const staff = [...doors, "guide", "tour-timeout"];
  const ready = chronicle.seen(({ kind }) => kind === "ready", staff.length);
  for (const [id, name] of doors.entries()) {
    cast.start("museum/door.ts", card(name, id));
  }
  cast.start("museum/guide.ts", card("guide", 0));
  cast.start("museum/tour_timeout.ts", card("tour-timeout", 0));
  await ready;
  const people = await sendPeople(company);
  for (const person of people) await cast.ended(person);
  for (const each of staff) await cast.stop(each);
}

/** Sends one after another; resolves when the last was sent. */
async function sendPeople(company: Company<MuseumEvent>): Promise<string[]> {
  const { cast, chronicle, card, pace, random, closing } = company;
  const { numbers, switches } = company.settings;
  const people: string[] = [];
  const count = switches.forever ? Infinity : numbers.people!;
  while (people.length < count && !closing.aborted) {
    await pace.pause(numbers.spawnSeconds!);
    if (!random.percent(numbers.spawnPercent!)) continue;
    const person = people.length + 1;
    await chronicle.record({ kind: "spawned", person });
    cast.start("museum/person.ts", card(`person-${person}`, person));
    people.push(`person-${person}`);
  }
  return people;
}
