/**
 * Kills, pauses and starts coordinators at random, one or several at once.
 *
 * @module
 */

import { eventually, pause } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import type { Slot } from "../process/slot.ts";

/** What a disturber did. */
export interface Disturbances {
  kills: number;
  pauses: number;
  /** How often all coordinators were dead at once. */
  blackouts: number;
}

/** Options of {@linkcode disturb}. */
export interface DisturbOptions {
  slots: readonly Slot[];
  seed: number;
  /** Of the coordinators. */
  leaseMs: number;
  /** After so many it stops by itself. @default {Infinity} */
  strikesMax?: number;
  /** Ends the disturbing. */
  signal: AbortSignal;
}

/** Disturbs until told to stop; then all coordinators are there again. */
export async function disturb(
  { slots, seed, leaseMs, strikesMax = Infinity, signal }: DisturbOptions,
): Promise<Disturbances> {
  const random = new Random(seed);
  const done: Disturbances = { kills: 0, pauses: 0, blackouts: 0 };
  for (let strikes = 0; strikes < strikesMax && !signal.aborted; strikes++) {
    await pause(random.integer(1, 3 * leaseMs));
    if (signal.aborted) break;
    const several = random.chance(0.1)
      ? slots.length
      : random.chance(0.3)
      ? 2
      : 1;
    const victims = random.shuffle(slots).slice(0, several);
    if (several === slots.length) done.blackouts++;
    await Promise.all(
      victims.map((slot) => strike(slot, random.fork(), leaseMs, done)),
    );
  }
  await Promise.all(slots.map((slot) => slot.program.ready()));
  return done;
}

async function strike(
  slot: Slot,
  random: Random,
  leaseMs: number,
  done: Disturbances,
): Promise<void> {
  const isPause = random.chance(0.5);
  if (isPause) {
    done.pauses++;
    slot.program.signal("SIGSTOP");
    await pause(random.integer(leaseMs, Math.round(leaseMs * 2.5)));
    slot.program.signal("SIGCONT");
    // Whoever was paused for too long may have been killed instead.
    if (random.chance(0.8)) return;
  }
  done.kills++;
  await slot.kill();
  await pause(random.chance(0.5) ? 0 : random.integer(0, leaseMs * 2));
  await restart(slot);
}

/** One whose user was still taken by its process before tries again. */
async function restart(slot: Slot): Promise<void> {
  await eventually(`${slot.name} to start`, async () => {
    try {
      await slot.launch().ready(30_000);
      return true;
    } catch (error) {
      if (/name_in_use/.test(String(error))) return false;
      throw error;
    }
  });
}
