/**
 * The table as its log tells it: a step for each entry. Pure; the rules and the
 * picture both look at it.
 *
 * @module
 */

import { actorOf, type CommonEvent, type Entry } from "../simulation/entry.ts";
import type { PhilosopherEvent } from "./event.ts";

/** An entry of the table's log. */
export type PhilosopherEntry = Entry<PhilosopherEvent | CommonEvent>;

/** What a philosopher is at. */
export type Phase = "away" | "sits" | "hungry" | "eats" | "rests" | "gone";

/** The table at one moment. */
export interface TableState {
  /** What each is at, by number. */
  readonly phases: ReadonlyMap<number, Phase>;
  /** What each has counted, by number. */
  readonly counts: ReadonlyMap<number, number>;
  /** Who has each stick, by the stick's name. */
  readonly sticks: ReadonlyMap<string, number>;
  /** What is in each buffer, as read or written last, by the buffer's name. */
  readonly buffers: ReadonlyMap<string, number>;
  /** Coordinators that do not run. */
  readonly down: ReadonlySet<string>;
}

/** Before anything. */
export const EMPTY_TABLE: TableState = {
  phases: new Map(),
  counts: new Map(),
  sticks: new Map(),
  buffers: new Map(),
  down: new Set(),
};

/** The number of the philosopher who published an entry; -1 if none did. */
export function philosopherOf(entry: PhilosopherEntry): number {
  return numberIn(actorOf(entry));
}

/** The table after an entry. */
export function stepTable(
  state: TableState,
  entry: PhilosopherEntry,
): TableState {
  const { phases, counts, sticks, buffers, down } = state;
  switch (entry.kind) {
    case "created":
      return entry.what === "value"
        ? { ...state, buffers: withKey(buffers, entry.name, entry.is) }
        : state;
    case "reads":
    case "writes":
      return { ...state, buffers: withKey(buffers, entry.value, entry.is) };
    case "ready":
      return inPhase(state, philosopherOf(entry), "sits");
    case "hungry":
      return inPhase(state, entry.id, "hungry");
    case "eats":
      return inPhase(state, entry.id, "eats");
    case "stops":
      return inPhase(state, entry.id, "rests");
    case "counted":
      return { ...state, counts: withKey(counts, entry.id, entry.count) };
    case "taken": {
      const holder = philosopherOf(entry);
      return { ...state, sticks: withKey(sticks, entry.semaphore, holder) };
    }
    case "released": {
      const after = new Map(sticks);
      after.delete(entry.semaphore);
      return { ...state, sticks: after };
    }
    case "ended": {
      const after = withKey(phases, numberIn(entry.actor), "gone" as Phase);
      return { ...state, phases: after };
    }
    case "killed":
      return { ...state, down: new Set([...down, entry.program]) };
    case "back":
      return {
        ...state,
        down: new Set([...down].filter((each) => each !== entry.program)),
      };
    default:
      return state;
  }
}

/** Every entry with the table before and after it. */
export function* walk(
  log: readonly PhilosopherEntry[],
): Generator<
  { entry: PhilosopherEntry; before: TableState; after: TableState }
> {
  let before = EMPTY_TABLE;
  for (const entry of log) {
    const after = stepTable(before, entry);
    yield { entry, before, after };
    before = after;
  }
}

function inPhase(state: TableState, id: number, phase: Phase): TableState {
  return { ...state, phases: withKey(state.phases, id, phase) };
}

function withKey<K, V>(
  map: ReadonlyMap<K, V>,
  key: K,
  value: V,
): ReadonlyMap<K, V> {
  return new Map([...map, [key, value]]);
}

function numberIn(actor: string): number {
  return Number(/^philosopher-(\d+)$/.exec(actor)?.[1] ?? -1);
}
