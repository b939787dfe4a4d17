/**
 * What the apps of a simulated world noted, as the history that the judge of the
 * fault runs takes, with what a user that comes and goes has a claim to.
 *
 * @module
 */

import { filterTakes } from "../faults/filter_match.ts";
import type {
  Attempt,
  Claim,
  History,
  ReaderLife,
  Take,
} from "../faults/judge.ts";
import { outcomeOf } from "../faults/notes.ts";
import type { Kernel } from "./kernel.ts";

/** One publish, with its times. */
export interface SimAttempt extends Attempt {
  readonly startMs: number;
  /** When it was certainly on the broker's disk. */
  brokerMs: number;
  /** `Infinity`: it does not expire. */
  readonly expiresMs: number;
  readonly machine: string | null;
  /** Larger than what the broker takes. */
  readonly isTooLarge: boolean;
  /** The user that published it, not only its name. */
  readonly author: SimReader;
}

/** One subscription over its life; `null`: not known to have come to pass. */
export interface SimSubscription {
  readonly filter: string;
  /** Whether it may reach back. */
  readonly isBack: boolean;
  readonly askedMs: number;
  beganMs: number | null;
  endAskedMs: number | null;
  endedMs: number | null;
}

/** One handle. */
export interface SimLife extends ReaderLife {
  readonly takes: SimTake[];
  readonly confirmed: [string, number, number][];
}

/** One message as an app took it. */
export interface SimTake extends Take {
  readonly atMs: number;
}

/** A user from its creation to its destruction. */
export interface SimReader {
  readonly user: string;
  /** Tells it from others that had the name before. */
  readonly number: number;
  /** Whether its subscriptions stood before the first publish and stay. */
  readonly isStable: boolean;
  readonly subscriptions: SimSubscription[];
  readonly lives: SimLife[];
  /** It may have lost what it had: destroyed, ended, or its machine's disk is gone. */
  isExcused: boolean;
}

/** All notes of a world. */
export class Journal {
  readonly attempts: SimAttempt[] = [];
  readonly readers: SimReader[] = [];
  /** What must not be. */
  readonly broken: string[] = [];
  readonly #kernel: Kernel;
  readonly #lostMachines: ReadonlySet<string>;
  readonly #users = new Map<string, string>();
  readonly #byKey = new Map<string, SimAttempt>();

  /** @param lostMachines Those whose disk is gone. */
  constructor(kernel: Kernel, lostMachines: ReadonlySet<string>) {
    this.#kernel = kernel;
    this.#lostMachines = lostMachines;
  }

  /** Something that must not be. */
  break(text: string): void {
    this.broken.push(`at ${this.#kernel.nowMs.toFixed(1)}: ${text}`);
    this.#kernel.note(text);
  }

  /** A user comes into being. */
  addReader(user: string, isStable: boolean): SimReader {
    const reader = {
      user,
      number: this.readers.filter((one) => one.user === user).length,
      isStable,
      subscriptions: [],
      lives: [],
      isExcused: false,
    };
    this.readers.push(reader);
    return reader;
  }

  /** Before a publish. */
  attempt(
    attempt: Pick<
      SimAttempt,
      | "writer"
      | "counter"
      | "topic"
      | "expiresMs"
      | "machine"
      | "author"
      | "isTooLarge"
    >,
  ): SimAttempt {
    const noted: SimAttempt = {
      ...attempt,
      outcome: "unknown",
      startMs: this.#kernel.nowMs,
      brokerMs: Infinity,
    };
    this.attempts.push(noted);
    this.#users.set(attempt.writer, attempt.author.user);
    this.#byKey.set(`${attempt.writer}#${attempt.counter}`, noted);
    this.#kernel.note(attempt.writer, attempt.counter);
    return noted;
  }

  /** After its receipt. */
  receipt(
    attempt: SimAttempt,
    receipt: { level: "daemon" | "broker"; offset?: number },
  ): void {
    attempt.outcome = "acknowledged";
    if (receipt.offset !== undefined) attempt.offset = receipt.offset;
    if (receipt.level === "broker") attempt.brokerMs = this.#kernel.nowMs;
    this.#kernel.note(`receipt ${receipt.level}`, attempt.counter);
  }

  /** After its failure. */
  failure(attempt: SimAttempt, code: string): void {
    attempt.outcome = code === "closed" ? "refused" : outcomeOf(code);
    this.#kernel.note(`failure ${code}`, attempt.counter);
  }

  /** A message came out of the library. */
  take(life: SimLife, take: Take): void {
    life.takes.push({ ...take, atMs: this.#kernel.nowMs });
    this.#kernel.note(
      `${life.life} takes ${take.writer} ${take.topic}`,
      take.counter,
    );
  }

  /** How many different messages the users of a name have taken from a topic. */
  taken(user: string, topic: string): number {
    const keys = new Set<string>();
    for (const reader of this.readers) {
      if (reader.user !== user) continue;
      for (const take of allTakes(reader)) {
        if (take.topic === topic) keys.add(`${take.writer}#${take.counter}`);
      }
    }
    return keys.size;
  }

  /** How much later than it may a message was taken, ms; the worst of all. */
  worstLatenessMs(): number {
    let worst = 0;
    for (const take of this.readers.flatMap(allTakes)) {
      const attempt = this.#byKey.get(`${take.writer}#${take.counter}`);
      if (attempt === undefined) continue;
      const late = take.atMs - attempt.startMs - attempt.expiresMs;
      worst = Math.max(worst, late);
    }
    return worst;
  }

  /** The history so far. */
  history(): History {
    return {
      attempts: this.attempts.map((attempt) =>
        this.#mayVanish(attempt)
          ? { ...attempt, outcome: "unknown" as const }
          : attempt
      ),
      readers: this.readers.map((reader) => ({
        user: labelOf(reader),
        filters: reader.subscriptions.map(({ filter }) => filter),
        lives: reader.lives,
        claim: (attempt) => claimOf(reader, this.#known(attempt)),
      })),
      users: this.#users,
    };
  }

  /** Acknowledged by a daemon that could not keep its word. */
  #mayVanish(attempt: SimAttempt): boolean {
    if (attempt.brokerMs < Infinity) return false;
    if (attempt.outcome !== "acknowledged") return false;
    return attempt.isTooLarge || this.#lostMachines.has(attempt.machine ?? "");
  }

  #known(attempt: Attempt): SimAttempt {
    const known = this.#byKey.get(`${attempt.writer}#${attempt.counter}`);
    if (known === undefined) throw new Error("An attempt of nobody");
    return known;
  }
}

function allTakes(reader: SimReader): SimTake[] {
  return reader.lives.flatMap(({ takes }) => takes);
}

/** The name under which a user is judged. */
export function labelOf({ user, number }: SimReader): string {
  return number === 0 ? user : `${user} (${number})`;
}

/** What a user has a claim to, as far as the times of the notes tell. */
export function claimOf(reader: SimReader, attempt: SimAttempt): Claim {
  if (attempt.author === reader) {
    // A destroy of the one before whose answer was lost is repeated, and may meet
    // this one: then the broker makes it anew, and knows its messages no more.
    return reader.number === 0 ? "never" : "may";
  }
  const concerned = reader.subscriptions.filter(({ filter }) =>
    filterTakes(filter, attempt.topic)
  );
  const claims = concerned.map((one) => claimBy(one, attempt));
  if (claims.every((claim) => claim === "never")) return "never";
  if (!claims.includes("must")) return "may";
  // To the broker a user of the same name may still be that one.
  const isNamesake = attempt.author.user === reader.user;
  const mayMiss = reader.isExcused || attempt.expiresMs < Infinity ||
    isNamesake;
  return mayMiss ? "may" : "must";
}

function claimBy(one: SimSubscription, attempt: SimAttempt): Claim {
  const { askedMs, beganMs, endAskedMs, endedMs, isBack } = one;
  // Its place in the log lies between its call and its broker's receipt.
  if (endedMs !== null && attempt.startMs > endedMs) return "never";
  if (!isBack && attempt.brokerMs < askedMs) return "never";
  if (beganMs === null || attempt.startMs < beganMs) return "may";
  if (endAskedMs !== null && attempt.brokerMs > endAskedMs) return "may";
  return "must";
}
