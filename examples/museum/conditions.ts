/**
 * What the log of a museum must show. Pure.
 *
 * @module
 */

import {
  allEnded,
  at,
  type Condition,
  oneHolder,
  programsEnded,
  resourcesGone,
  settingsOf,
  trueValues,
  wholeLog,
} from "../simulation/conditions.ts";
import { actorOf, type CommonEvent } from "../simulation/entry.ts";
import { numbers } from "../simulation/numbers.ts";
import {
  type MuseumEvent,
  SEM_CAPACITY,
  SEM_TOUR,
  SEM_VACANCY,
  SHM_CAPACITY,
  SHM_TOUR,
} from "./event.ts";
import { isFree, type MuseumEntry, type MuseumState, walk } from "./state.ts";

type Log = readonly MuseumEntry[];

/** An entry with the museum before and after it. */
interface Moment {
  entry: MuseumEntry;
  before: MuseumState;
  after: MuseumState;
}

/** Entries of one kind. */
type Of<K extends MuseumEvent["kind"]> = MuseumEntry & { kind: K };

/** All rules of the museum. */
export const MUSEUM_CONDITIONS: readonly Condition<
  MuseumEvent | CommonEvent
>[] = [
  {
    id: "whole_log",
    text: "the log is whole: every offset once, from opened to closed",
    faults: wholeLog,
  },
  {
    id: "one_holder",
    text: "each mutex has one holder at most, and its tokens only grow",
    faults: (log) => oneHolder(log, isMutex),
  },
  {
    id: "true_values",
    text: "a value is read as it was written last, and only under its mutex",
    faults: (log) => trueValues(log, guardOf),
  },
  {
    id: "free_in_bounds",
    text: "0 ≤ free ≤ capacity at every read",
    faults: (log) => {
      const { capacity = 0 } = settingsOf(log);
      return each(
        log,
        ({ entry }) =>
          (entry.kind === "reads" || entry.kind === "writes") &&
          entry.value === SHM_CAPACITY &&
          (entry.is < 0 || entry.is > capacity) &&
          `${entry.is} places are free`,
      );
    },
  },
  {
    id: "inside_in_bounds",
    text: "people inside ≤ capacity",
    faults: (log) => {
      const { capacity = 0 } = settingsOf(log);
      return each(
        log,
        ({ after: { inside } }) =>
          inside.size > capacity && `${inside.size} people are inside`,
      );
    },
  },
  {
    id: "free_and_inside",
    text: "free + inside = capacity whenever the mutex is free",
    faults: (log) => {
      const { capacity = 0 } = settingsOf(log);
      return each(
        log,
        ({ entry, after }) =>
          entry.kind === "released" && isFree(after, "places") &&
          after.free + after.inside.size !== capacity &&
          `${after.free} free and ${after.inside.size} inside`,
      );
    },
  },
  {
    id: "rejected_when_full",
    text: "rejected only when free = 0, and to leave never",
    faults: (log) =>
      each(
        log,
        ({ entry, before }) =>
          entry.kind === "decides" && entry.answer === "rejected" &&
          (before.free !== 0 || entry.request === "exit") &&
          `${entry.person} is rejected with ${before.free} places free`,
      ),
  },
  {
    id: "one_answer",
    text: "each request gets one answer, from the door asked, under the mutex",
    faults: oneAnswer,
  },
  {
    id: "entries_and_exits",
    text: "accepted entries = exits",
    faults: entriesAndExits,
  },
  {
    id: "tour_from_inside",
    text: "everyone on a tour is inside, from signing until it is over",
    faults: tourFromInside,
  },
  {
    id: "one_guide_answer",
    text: "everyone who signs is on one tour and gets one answer of the guide",
    faults: oneGuideAnswer,
  },
  {
    id: "party_or_timeout",
    text: "a tour with people starts with a whole party or after a time-out",
    faults: partyOrTimeout,
  },
  {
    id: "called",
    text: "the guide wakes once for each call at most",
    faults: called,
  },
  {
    id: "signed_and_waiting",
    text: "requests waiting at the guide = signed when sem_vacancy is free",
    faults: signedAndWaiting,
  },
  {
    id: "ends_empty",
    text: "at the end free = capacity and nobody has signed",
    faults: endsEmpty,
  },
  {
    id: "everyone_came",
    text: "everyone was sent once, and left, with no message left over",
    faults: everyoneCame,
  },
  {
    id: "all_ended",
    text: "every actor's process has ended, with 0",
    faults: (log) => allEnded(log, actorsOf(log)),
  },
  {
    id: "programs_ended",
    text: "coordinators, daemons and broker have ended, with 0",
    faults: programsEnded,
  },
  {
    id: "resources_gone",
    text: "all five resources are gone",
    faults: (log) => {
      const count = log.filter(({ kind }) => kind === "created").length;
      const faults = resourcesGone(log);
      return count === 5 ? faults : [...faults, `${count} came into being`];
    },
  },
];

function isMutex(semaphore: string): boolean {
  return semaphore !== SEM_TOUR;
}

function guardOf(value: string): string {
  return value === SHM_CAPACITY ? SEM_CAPACITY : SEM_VACANCY;
}

/** What a look at each moment finds. */
function each(log: Log, look: (moment: Moment) => string | false): string[] {
  const faults: string[] = [];
  for (const moment of walk(log)) {
    const fault = look(moment);
    if (fault !== false) faults.push(`${at(moment.entry)}: ${fault}`);
  }
  return faults;
}

function of<K extends MuseumEvent["kind"]>(log: Log, kind: K): Of<K>[] {
  return log.filter((entry): entry is Of<K> => entry.kind === kind);
}

/**
 * Asked, decided, answered, in this order and each once for each request. A
 * person asks once at a time, so its number tells which request is meant.
 */
function oneAnswer(log: Log): string[] {
  const open = new Map<
    number,
    { door: number; request: string; answer?: string }
  >();
  const faults = each(log, ({ entry, before }) => {
    if (entry.kind === "asks") {
      const { person, door, request } = entry;
      const isBusy = open.has(person);
      open.set(person, { door, request });
      return isBusy && `${person} asks again before it is answered`;
    }
    if (entry.kind === "decides") {
      const { person, door, request, answer } = entry;
      const asked = open.get(person);
      const isFit = asked?.door === door && asked.request === request &&
        asked.answer === undefined;
      if (asked !== undefined) asked.answer = answer;
      if (!isFit) return `door ${door} decides for ${person} unasked`;
      const isHolder = before.holders.get(SEM_CAPACITY) === entry.user;
      return !isHolder && `door ${door} decides without the mutex`;
    }
    if (entry.kind === "answered") {
      const { person, door, request, answer } = entry;
      const asked = open.get(person);
      open.delete(person);
      const isFit = asked?.door === door && asked.request === request &&
        asked.answer === answer;
      return !isFit &&
        `${person} gets an answer that door ${door} did not give`;
    }
    return false;
  });
  for (const [person, { door }] of open) {
    faults.push(`${person} never gets the answer of door ${door}`);
  }
  return faults;
}

function entriesAndExits(log: Log): string[] {
  const accepted = of(log, "decides").filter(({ answer }) =>
    answer === "accepted"
  );
  const people = (request: string) =>
    accepted.filter((entry) => entry.request === request)
      .map(({ person }) => person).sort((a, b) => a - b).join();
  const [entries, exits] = [people("enter"), people("exit")];
  return entries === exits ? [] : [`entered: ${entries}; left: ${exits}`];
}

function tourFromInside(log: Log): string[] {
  return each(log, ({ entry, after }) => {
    if (entry.kind === "signs") {
      const isInside = after.inside.has(entry.person);
      return !isInside && `${entry.person} signs and is not inside`;
    }
    const outside = [...after.waiting, ...after.touring]
      .filter((person) => !after.inside.has(person));
    const isNews = entry.kind === "decides" || entry.kind === "tour";
    return isNews && outside.length > 0 && `on a tour but outside: ${outside}`;
  });
}

/** Signs, is taken on a tour, joins, and ends it: once each, in this order. */
function oneGuideAnswer(log: Log): string[] {
  const steps = ["signs", "tour", "joins", "tour_over"] as const;
  const done = new Map<number, number>();
  const go = (person: number, kind: typeof steps[number]) => {
    const isNext = (done.get(person) ?? 0) === steps.indexOf(kind);
    done.set(person, steps.indexOf(kind) + 1);
    return isNext ? [] : [person];
  };
  const faults = each(log, ({ entry }) => {
    let wrong: number[] = [];
    if (entry.kind === "tour") {
      wrong = entry.people.flatMap((person) => go(person, "tour"));
    } else if (
      entry.kind === "signs" || entry.kind === "joins" ||
      entry.kind === "tour_over"
    ) wrong = go(entry.person, entry.kind);
    return wrong.length > 0 && `${entry.kind} of ${wrong} out of turn`;
  });
  for (const [person, count] of done) {
    if (count < steps.length) faults.push(`${person} has not ended its tour`);
  }
  return faults;
}

/**
 * Each call for a whole party is followed by a tour that has one, before the next
 * such call. So of all tours with fewer, also empty ones, there are at no time
 * more than calls by time-out.
 */
function partyOrTimeout(log: Log): string[] {
  const { party = 0 } = settingsOf(log);
  let timeouts = 0;
  return each(log, ({ entry }) => {
    if (entry.kind === "calls") {
      const isFew = entry.signed > 0 && entry.signed < party;
      if (entry.why === "timeout") timeouts++;
      const isRight = entry.why === "timeout"
        ? isFew
        : entry.why === "party" && entry.signed === party;
      return !isRight && `calls for ${entry.signed} by ${entry.why}`;
    }
    if (entry.kind !== "tour" || entry.people.length >= party) return false;
    timeouts--;
    return timeouts < 0 && `a tour of ${entry.people.length} without a reason`;
  });
}

function called(log: Log): string[] {
  let calls = 0;
  return each(log, ({ entry }) => {
    if (entry.kind === "calls") calls++;
    if (entry.kind === "wakes") calls--;
    return entry.kind === "wakes" && calls < 0 && "wakes without a call";
  });
}

function signedAndWaiting(log: Log): string[] {
  return each(log, ({ entry, after }) => {
    const { signed, waiting } = after;
    if (entry.kind === "signs" && entry.signed !== waiting.length) {
      return `signs as ${entry.signed} and is number ${waiting.length}`;
    }
    return entry.kind === "released" && isFree(after, "list") &&
      signed !== waiting.length &&
      `${signed} have signed and ${waiting.length} wait`;
  });
}

function endsEmpty(log: Log): string[] {
  const { capacity = 0 } = settingsOf(log);
  const last = (name: string) =>
    log.findLast((entry) =>
      entry.kind === "reads" && entry.value === name &&
      actorOf(entry) === "main"
    );
  const faults: string[] = [];
  for (const [name, is] of [[SHM_CAPACITY, capacity], [SHM_TOUR, 0]] as const) {
    const entry = last(name);
    const found = entry?.kind === "reads" ? entry.is : "not read";
    if (found !== is) faults.push(`${name} is ${found}, not ${is}`);
  }
  return faults;
}

function everyoneCame(log: Log): string[] {
  const { people = 0, forever = 0 } = settingsOf(log);
  const spawned = of(log, "spawned").map(({ person }) => person);
  const left = of(log, "leaves").map(({ person }) => person);
  const faults = of(log, "leaves").filter(({ strays }) => strays !== 0)
    .map((entry) => `${at(entry)}: ${entry.strays} messages were left over`);
  const expected = forever === 1 ? spawned.length : people;
  const wanted = numbers(expected).map((index) => index + 1).join();
  const sorted = (list: number[]) => list.toSorted((a, b) => a - b).join();
  if (sorted(spawned) !== wanted) faults.push(`sent: ${sorted(spawned)}`);
  if (sorted(left) !== wanted) faults.push(`left: ${sorted(left)}`);
  return faults;
}

function actorsOf(log: Log): string[] {
  const doors = numbers(settingsOf(log).doors ?? 0).map((id) => `door-${id}`);
  const people = of(log, "spawned").map(({ person }) => `person-${person}`);
  return [...doors, "guide", "tour-timeout", ...people];
}
