/**
 * The museum as its log tells it: a step for each entry. Pure; the rules and the
 * picture both look at it.
 *
 * @module
 */

import type { CommonEvent, Entry } from "../simulation/entry.ts";
import {
  type MuseumEvent,
  SEM_CAPACITY,
  SEM_VACANCY,
  SHM_CAPACITY,
  SHM_TOUR,
} from "./event.ts";

/** An entry of the museum's log. */
export type MuseumEntry = Entry<MuseumEvent | CommonEvent>;

/** Where a person is. */
export type Place =
  | { at: "coming" }
  | { at: "door"; door: number; wants: "enter" | "exit" }
  | { at: "rooms" }
  | { at: "queue" }
  | { at: "tour" }
  | { at: "gone"; visited: boolean };

/** The museum at one moment. */
export interface MuseumState {
  /** The free places as read or written last. */
  readonly free: number;
  /** Who has signed, as read or written last. */
  readonly signed: number;
  /** Who is inside, by the doors' decisions. */
  readonly inside: ReadonlySet<number>;
  /** Who has signed and was not taken along, in order. */
  readonly waiting: readonly number[];
  /** Who was taken along and has not said that the tour is over. */
  readonly touring: ReadonlySet<number>;
  /** Tours with people. */
  readonly tours: number;
  /** Who holds which semaphore. */
  readonly holders: ReadonlyMap<string, string>;
  /** Where everybody is, by number. */
  readonly people: ReadonlyMap<number, Place>;
}

/** Before anything. */
export const EMPTY_MUSEUM: MuseumState = {
  free: 0,
  signed: 0,
  inside: new Set(),
  waiting: [],
  touring: new Set(),
  tours: 0,
  holders: new Map(),
  people: new Map(),
};

/** The museum after an entry. */
export function stepMuseum(
  state: MuseumState,
  entry: MuseumEntry,
): MuseumState {
  switch (entry.kind) {
    case "created":
      return entry.what === "value"
        ? withValue(state, entry.name, entry.is)
        : state;
    case "reads":
    case "writes":
      return withValue(state, entry.value, entry.is);
    case "taken":
    case "released":
      return { ...state, holders: holdersAfter(state, entry) };
    case "spawned":
      return moved(state, entry.person, { at: "coming" });
    case "asks": {
      const { door, request: wants } = entry;
      return moved(state, entry.person, { at: "door", door, wants });
    }
    case "decides":
      return { ...state, inside: insideAfter(state, entry) };
    case "answered": {
      const { request, answer } = entry;
      const isInside = request === "enter" && answer === "accepted";
      const visited = request === "exit";
      const place = { at: isInside ? "rooms" : "gone", visited } as const;
      return moved(state, entry.person, place);
    }
    case "signs":
      return {
        ...moved(state, entry.person, { at: "queue" }),
        waiting: [...state.waiting, entry.person],
      };
    case "tour":
      return withTour(state, entry.people);
    case "tour_over":
      return {
        ...moved(state, entry.person, { at: "rooms" }),
        touring: without(state.touring, entry.person),
      };
    default:
      return state;
  }
}

/** Every entry with the museum before and after it. */
export function* walk(
  log: readonly MuseumEntry[],
): Generator<
  { entry: MuseumEntry; before: MuseumState; after: MuseumState }
> {
  let before = EMPTY_MUSEUM;
  for (const entry of log) {
    const after = stepMuseum(before, entry);
    yield { entry, before, after };
    before = after;
  }
}

/** Whether nobody is at the free places, or at the list of those who signed. */
export function isFree(state: MuseumState, what: "places" | "list"): boolean {
  const semaphore = what === "places" ? SEM_CAPACITY : SEM_VACANCY;
  return !state.holders.has(semaphore);
}

function withValue(
  state: MuseumState,
  name: string,
  is: number,
): MuseumState {
  if (name === SHM_CAPACITY) return { ...state, free: is };
  if (name === SHM_TOUR) return { ...state, signed: is };
  return state;
}

function holdersAfter(
  { holders }: MuseumState,
  { kind, semaphore, user }: MuseumEntry & { kind: "taken" | "released" },
): ReadonlyMap<string, string> {
  const after = new Map(holders);
  if (kind === "taken") after.set(semaphore, user);
  else after.delete(semaphore);
  return after;
}

function insideAfter(
  { inside }: MuseumState,
  { person, request, answer }: MuseumEntry & { kind: "decides" },
): ReadonlySet<number> {
  if (answer === "rejected") return inside;
  return request === "enter"
    ? new Set([...inside, person])
    : without(inside, person);
}

function withTour(state: MuseumState, people: readonly number[]): MuseumState {
  const places = new Map(state.people);
  for (const person of people) places.set(person, { at: "tour" });
  return {
    ...state,
    people: places,
    waiting: state.waiting.filter((person) => !people.includes(person)),
    touring: new Set([...state.touring, ...people]),
    tours: state.tours + (people.length > 0 ? 1 : 0),
  };
}

function moved(
  state: MuseumState,
  person: number,
  place: Place,
): MuseumState {
  return { ...state, people: new Map([...state.people, [person, place]]) };
}

function without(set: ReadonlySet<number>, one: number): ReadonlySet<number> {
  return new Set([...set].filter((each) => each !== one));
}
