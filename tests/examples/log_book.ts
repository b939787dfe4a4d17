/**
 * Logs of simulations that were never played: right ones, made by hand, and the
 * same with something wrong.
 *
 * @module
 */

import type { CommonEvent, Entry } from "../../examples/simulation/entry.ts";

/** A log as it is made, an event after the other. */
export class LogBook<E> {
  readonly entries: Entry<E | CommonEvent>[] = [];
  readonly #tokens = new Map<string, number>();
  readonly #values = new Map<string, number>();

  /** Somebody says something. */
  say(user: string, ...events: (E | CommonEvent)[]): void {
    for (const event of events) {
      const offset = this.entries.length;
      const place = { offset, time: 1_000 + offset, user: `${user}@north` };
      this.entries.push({ ...event, ...place });
    }
  }

  /** A resource comes into being. */
  create(what: "semaphore" | "value", name: string, is: number): void {
    if (what === "value") this.#values.set(name, is);
    this.say("main", { kind: "created", what, name, is });
  }

  /** Somebody holds a semaphore meanwhile. */
  holding(user: string, semaphore: string, body: () => void): void {
    const token = (this.#tokens.get(semaphore) ?? 0) + 1;
    this.#tokens.set(semaphore, token);
    this.say(user, { kind: "taken", semaphore, token });
    body();
    this.say(user, { kind: "released", semaphore, token });
  }

  /** Somebody reads a value. */
  read(user: string, value: string): number {
    const is = this.#values.get(value) ?? 0;
    this.say(user, { kind: "reads", value, is });
    return is;
  }

  /** Somebody writes a value. */
  write(user: string, value: string, is: number): void {
    this.#values.set(value, is);
    this.say(user, { kind: "writes", value, is });
  }

  /** After all: the programs end. */
  endPrograms(machines: readonly string[], coordinators: number): void {
    const programs = ["broker", ...machines.map((one) => `daemon ${one}`)];
    for (let id = 1; id <= coordinators; id++) {
      programs.push(`coordinator ${id}`);
    }
    for (const program of programs) {
      const event = { kind: "program_ended", program, code: 0 } as const;
      this.entries.push({ ...event, offset: null, time: 9_999, user: "main" });
    }
  }
}

/** What makes a log wrong; works on a copy. */
export interface Damage<E> {
  /** The rule that must notice. */
  rule: string;
  /** What is wrong. */
  what: string;
  /** Makes it wrong. */
  spoil(log: Entry<E | CommonEvent>[]): void;
  /** Whether offsets stay as they were, for the log itself is what is wrong. */
  keepsOffsets?: boolean;
}

/** A copy of a log with something wrong, otherwise as orderly as before. */
export function damaged<E>(
  log: readonly Entry<E | CommonEvent>[],
  { spoil, keepsOffsets }: Damage<E>,
): Entry<E | CommonEvent>[] {
  const copy = structuredClone([...log]);
  spoil(copy);
  if (keepsOffsets) return copy;
  let offset = 0;
  for (const entry of copy) if (entry.offset !== null) entry.offset = offset++;
  return copy;
}

/** The place of the `nth` entry of a kind; fails if there is none. */
export function indexOf<E extends { kind: string }>(
  log: readonly E[],
  fits: (entry: E) => boolean,
  nth = 0,
): number {
  const places = log.flatMap((entry, index) => fits(entry) ? [index] : []);
  const place = places.at(nth);
  if (place === undefined) throw new Error("The log has no such entry");
  return place;
}

/** Takes entries out. */
export function drop<E extends { kind: string }>(
  log: E[],
  fits: (entry: E) => boolean,
  nth = 0,
): void {
  log.splice(indexOf(log, fits, nth), 1);
}

/** Doubles an entry. */
export function repeat<E extends { kind: string }>(
  log: E[],
  fits: (entry: E) => boolean,
  nth = 0,
): void {
  const index = indexOf(log, fits, nth);
  log.splice(index, 0, structuredClone(log[index]!));
}

/** Changes an entry. */
export function change<E extends { kind: string }>(
  log: E[],
  fits: (entry: E) => boolean,
  to: Record<string, unknown>,
  nth = 0,
): void {
  Object.assign(log[indexOf(log, fits, nth)]!, to);
}

/** Moves an entry to the place before another. */
export function move<E extends { kind: string }>(
  log: E[],
  fits: (entry: E) => boolean,
  before: (entry: E) => boolean,
  { nth = 0, nthBefore = 0 } = {},
): void {
  const [entry] = log.splice(indexOf(log, fits, nth), 1);
  log.splice(indexOf(log, before, nthBefore), 0, entry!);
}
