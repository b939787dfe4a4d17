/**
 * What a log must show, and what it must show in every simulation. Pure.
 *
 * What happened under a semaphore stands between its `taken` and `released`, and
 * the topic's offsets order that over all actors (see `entry.ts`): so each rule
 * below can walk the log from its first line to its last.
 *
 * @module
 */

import { actorOf, type CommonEvent, type Entry } from "./entry.ts";

/** A rule. */
export interface Condition<E> {
  /** Short name. */
  id: string;
  /** What must hold. */
  text: string;
  /** Where the log breaks it; empty when it is kept. */
  faults(log: readonly Entry<E>[]): string[];
}

/** A rule and where it was broken. */
export interface Finding {
  /** Short name of the rule. */
  id: string;
  /** The rule. */
  text: string;
  /** Empty when it was kept. */
  faults: string[];
}

/** A log of whichever simulation. */
type Log = readonly Entry<{ kind: string }>[];

/** The same log, for who looks at no other kinds than the common ones. */
function common(log: Log): readonly Entry<CommonEvent>[] {
  return log as readonly Entry<CommonEvent>[];
}

/** Looks at a log with every rule. */
export function judge<E>(
  log: readonly Entry<E>[],
  conditions: readonly Condition<E>[],
): Finding[] {
  return conditions.map((condition) => {
    const { id, text } = condition;
    return { id, text, faults: faultsOf(log, condition) };
  });
}

/** A log that a rule cannot even read is not one that keeps it. */
function faultsOf<E>(
  log: readonly Entry<E>[],
  { faults }: Condition<E>,
): string[] {
  try {
    return faults(log);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return [`cannot be seen: ${error.message}`];
  }
}

/** Where an entry stands, for a fault. */
export function at({ offset, user }: Entry<unknown>): string {
  return `${offset === null ? "after the end" : `at ${offset}`}, ${user}`;
}

/** The flags of the run: those of the first entry. */
export function settingsOf(log: Log): Record<string, number> {
  const first = common(log).find((entry) => entry.kind === "opened");
  const settings = first?.kind === "opened" ? first.settings : {};
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, Number(value)]),
  );
}

/** Every offset from 0 on, once and in order; `opened` first, `closed` last. */
export function wholeLog(log: Log): string[] {
  const faults: string[] = [];
  const told = log.filter(({ offset }) => offset !== null);
  for (const [index, entry] of told.entries()) {
    if (entry.offset !== index) {
      faults.push(`${at(entry)}: is entry number ${index}`);
      break;
    }
  }
  const afterwards = log.slice(told.length);
  if (afterwards.some(({ kind }) => kind !== "program_ended")) {
    faults.push("something has no place in the order");
  }
  for (const kind of ["opened", "closed"] as const) {
    const count = log.filter((entry) => entry.kind === kind).length;
    if (count !== 1) faults.push(`${kind} ${count} times`);
  }
  if (log[0]?.kind !== "opened") faults.push("does not begin with opened");
  if (told.at(-1)?.kind !== "closed") faults.push("does not end with closed");
  return faults;
}

/** A semaphore of 1 has at most one holder, and its tokens only grow. */
export function oneHolder(
  log: Log,
  isMutex: (semaphore: string) => boolean = () => true,
): string[] {
  const faults: string[] = [];
  const holders = new Map<string, { user: string; token: number }>();
  const tokens = new Map<string, number>();
  for (const entry of common(log)) {
    if (entry.kind !== "taken" && entry.kind !== "released") continue;
    const { semaphore, token, user } = entry;
    if (!isMutex(semaphore)) continue;
    const holder = holders.get(semaphore);
    if (entry.kind === "released") {
      if (holder?.user !== user || holder.token !== token) {
        faults.push(`${at(entry)}: gives ${semaphore} back without having it`);
      }
      holders.delete(semaphore);
      continue;
    }
    if (holder !== undefined) {
      faults.push(`${at(entry)}: takes ${semaphore}, which ${holder.user} has`);
    }
    if (token <= (tokens.get(semaphore) ?? -Infinity)) {
      faults.push(`${at(entry)}: token ${token} of ${semaphore} is not newer`);
    }
    holders.set(semaphore, { user, token });
    tokens.set(semaphore, token);
  }
  for (const [semaphore, { user }] of holders) {
    faults.push(`${user} never gives ${semaphore} back`);
  }
  return faults;
}

/**
 * A value is read as it was written last, and touched only by who holds the
 * semaphore that guards it. The one who runs it all may read when nobody holds it.
 */
export function trueValues(
  log: Log,
  guardOf: (value: string) => string,
): string[] {
  const faults: string[] = [];
  const values = new Map<string, number>();
  const holders = new Map<string, string>();
  for (const entry of common(log)) {
    if (entry.kind === "created" && entry.what === "value") {
      values.set(entry.name, entry.is);
    } else if (entry.kind === "taken") {
      holders.set(entry.semaphore, entry.user);
    } else if (entry.kind === "released") {
      holders.delete(entry.semaphore);
    } else if (entry.kind === "reads" || entry.kind === "writes") {
      const holder = holders.get(guardOf(entry.value));
      const isFree = holder === undefined && actorOf(entry) === "main";
      if (holder !== entry.user && !isFree) {
        faults.push(`${at(entry)}: touches ${entry.value} without its lock`);
      }
      const was = values.get(entry.value);
      if (entry.kind === "reads" && entry.is !== was) {
        faults.push(
          `${at(entry)}: reads ${entry.value} as ${entry.is}, not ${was}`,
        );
      }
      values.set(entry.value, entry.is);
    }
  }
  return faults;
}

/** Each of these actors' processes ended once, with 0, and no other did. */
export function allEnded(log: Log, actors: readonly string[]): string[] {
  const faults: string[] = [];
  const missing = new Set(actors);
  for (const entry of common(log)) {
    if (entry.kind !== "ended") continue;
    const { actor, code } = entry;
    if (!missing.delete(actor)) faults.push(`${actor} ended unexpectedly`);
    if (code !== 0) faults.push(`${actor} ended with ${code}`);
  }
  for (const actor of missing) faults.push(`${actor} never ended`);
  return faults;
}

/** Broker, daemons and coordinators all ended, with 0, after the rest. */
export function programsEnded(log: Log): string[] {
  const faults: string[] = [];
  const { machines = 0, coordinators = 0 } = settingsOf(log);
  const ends = common(log).filter((entry) => entry.kind === "program_ended");
  for (
    const [role, count] of Object.entries({
      broker: 1,
      daemon: machines,
      coordinator: coordinators,
    })
  ) {
    const those = ends.filter(({ program }) => program.startsWith(role));
    if (new Set(those.map(({ program }) => program)).size !== count) {
      faults.push(`${those.length} of role ${role} ended, not ${count}`);
    }
  }
  for (const { program, code } of ends) {
    if (code !== 0) faults.push(`${program} ended with ${code}`);
  }
  return faults;
}

/** Each resource that came into being is gone at the end, and not touched after. */
export function resourcesGone(log: Log): string[] {
  const faults: string[] = [];
  const there = new Set<string>();
  for (const entry of common(log)) {
    const names = namesIn(entry);
    if (entry.kind === "created") there.add(names[0]!);
    for (const name of names) {
      if (!there.has(name)) faults.push(`${at(entry)}: ${name} is not there`);
    }
    if (entry.kind === "gone") there.delete(names[0]!);
  }
  for (const name of there) faults.push(`${name} is still there`);
  return faults;
}

function namesIn(entry: Entry<CommonEvent>): string[] {
  switch (entry.kind) {
    case "created":
    case "gone":
      return [`${entry.what} ${entry.name}`];
    case "taken":
    case "released":
      return [`semaphore ${entry.semaphore}`];
    case "reads":
    case "writes":
      return [`value ${entry.value}`];
    default:
      return [];
  }
}
