/**
 * An actor: a process of its own, a user of its own, a client of the coordinators.
 *
 * @module
 */

import { Mom } from "../../mod.ts";
import { Coordinator } from "../../coordinator/mod.ts";
import type { CommonEvent } from "./entry.ts";
import { Pace } from "./pace.ts";
import { Random } from "./random.ts";
import { Recorder } from "./recorder.ts";

/** What an actor is told when it is started: its only argument, as JSON. */
export interface Card {
  /** Its user's name. */
  name: string;
  /** The daemon of its machine. */
  daemon: string;
  /** Where it says what it does. */
  events: string;
  /** How many coordinators there are. */
  of: number;
  /** How long a coordinator waits for a sign of life of a holder. */
  leaseMs: number;
  /** Of the run. */
  seed: number;
  /** How many of its seconds pass in one of ours. */
  speed: number;
  /** The flags of the simulation. */
  settings: Record<string, number>;
  /** Its number. */
  id: number;
}

/** What an actor plays with. */
export interface Actor<E> {
  /** What it was told. */
  card: Card;
  /** Its own handle. */
  mom: Mom;
  /** Its way to the semaphores and shared values. */
  coordinator: Coordinator;
  /** Its chance. */
  random: Random;
  /** Its time. */
  pace: Pace;
  /** Aborted when it is asked to end. */
  closing: AbortSignal;
  /** Says what it does. */
  record(event: E | CommonEvent): void;
  /** Resolves when all that it said is on the broker's disk. */
  settled(): Promise<void>;
}

/** Plays a part and ends the process: with 0, or with 1 and a line on stderr. */
export async function act<E>(
  play: (actor: Actor<E>) => Promise<void>,
): Promise<never> {
  const closing = new AbortController();
  Deno.addSignalListener("SIGTERM", () => closing.abort());
  void endWithParent();
  try {
    const card: Card = JSON.parse(Deno.args[0] ?? "{}");
    await perform(card, closing.signal, play);
  } catch (error) {
    const text = error instanceof Error ? error.stack : error;
    Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
    Deno.exit(1);
  }
  Deno.exit(0);
}

/**
 * Does something while holding a semaphore. What it records is in the log before
 * the next holder can be granted it.
 */
export async function holding<T>(
  actor: Actor<never>,
  semaphore: string,
  body: () => Promise<T>,
): Promise<T> {
  const permit = await actor.coordinator.semaphore(semaphore).wait();
  const { token } = permit;
  actor.record({ kind: "taken", semaphore, token });
  const result = await body();
  actor.record({ kind: "released", semaphore, token });
  await actor.settled();
  await permit.release();
  return result;
}

/** Reads a shared value, and says so. */
export async function readValue(
  actor: Actor<never>,
  value: string,
): Promise<number> {
  const is = await actor.coordinator.value<number>(value).read();
  actor.record({ kind: "reads", value, is });
  return is;
}

/** Writes a shared value, and says so. */
export async function writeValue(
  actor: Actor<never>,
  value: string,
  is: number,
): Promise<void> {
  await actor.coordinator.value<number>(value).write(is);
  actor.record({ kind: "writes", value, is });
}

/** The value of the next message. */
export async function receive<T>(mom: Mom): Promise<T> {
  const message = await mom.receive();
  if (message === null) throw new Error("A wait without a limit has ended");
  return message.value as T;
}

/** The value of the next message; `null` once the signal is there. */
export async function receiveUntil<T>(
  mom: Mom,
  signal: AbortSignal,
): Promise<T | null> {
  const message = await unlessAborted(mom.receive({ signal }), signal);
  return message === null ? null : message.value as T;
}

/** Settles as the promise does; `null` if that fails once the signal is there. */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

async function perform<E>(
  card: Card,
  closing: AbortSignal,
  play: (actor: Actor<E>) => Promise<void>,
): Promise<void> {
  const { name, daemon, of, leaseMs, seed, speed, events } = card;
  const mom = await Mom.connect({ name, daemon });
  const coordinator = await Coordinator.connect(mom, { of, leaseMs });
  const recorder = new Recorder<E | CommonEvent>(mom, events);
  const random = new Random(seed, name);
  const pace = new Pace(speed);
  const record = (event: E | CommonEvent) => recorder.record(event);
  const settled = () => recorder.settled();
  const own = { card, mom, coordinator, random, pace, closing };
  await play({ ...own, record, settled });
  await settled();
  await coordinator.close();
  // The user and all that it had end with its part.
  await mom.destroy();
}

/** Ends this process when the one that started it is gone. */
async function endWithParent(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit(1);
}
