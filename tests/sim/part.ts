/**
 * A simulated process: one life of a broker, a daemon or an app. What it sees of
 * the world goes through here, so that a dead one does nothing any more: no timer
 * of it rings, nothing that it waits for ever comes.
 *
 * @module
 */

import type { Clock, Entropy } from "../../protocol/clock.ts";
import type { Random } from "../helpers/random.ts";
import type { Kernel } from "./kernel.ts";

/** Wall time at the beginning of every world. */
const EPOCH_MS = 1_800_000_000_000;

/** One life. */
export class Part {
  readonly name: string;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Until then it stands still, as after SIGSTOP. */
  stalledUntilMs = 0;
  /** How far its wall clock is off. */
  skewMs = 0;
  readonly #random: Random;
  readonly #onUnplug: (() => void)[] = [];
  readonly #onDeath: (() => void)[] = [];
  #isUnplugged = false;
  #isDead = false;

  constructor(name: string, kernel: Kernel) {
    this.name = name;
    this.kernel = kernel;
    this.#random = kernel.random.fork();
    this.clock = {
      wallMs: () => Math.floor(EPOCH_MS + kernel.nowMs + this.skewMs),
      monotonicMs: () => kernel.nowMs,
      setTimer: (delayMs, callback) =>
        // Never early, and as late as timers are.
        kernel.after(
          Math.max(1, delayMs) + this.#random.fraction(),
          this,
          "timer",
          callback,
        ),
    };
    this.entropy = {
      bytes: (length) => this.#bytes(length),
      fraction: () => this.#random.fraction(),
    };
  }

  /** Whether it was killed. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** Whether it has no network any more. */
  get isUnplugged(): boolean {
    return this.#isUnplugged;
  }

  /** Does `what` when its network ends, by death or otherwise; at once if it did. */
  onUnplug(what: () => void): void {
    if (this.#isUnplugged) what();
    else this.#onUnplug.push(what);
  }

  /** It loses its network for good, and lives on. */
  unplug(): void {
    this.#isUnplugged = true;
    for (const what of this.#onUnplug.splice(0)) what();
  }

  /** Does `what` when it is killed; at once if it was. */
  onDeath(what: () => void): void {
    if (this.#isDead) what();
    else this.#onDeath.push(what);
  }

  /** SIGKILL. To be called between two events only: nothing of it is under way. */
  kill(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.unplug();
    for (const what of this.#onDeath.splice(0)) what();
  }

  /** Waits, if it lives. */
  sleep(delayMs: number, label = "sleep"): Promise<void> {
    return this.kernel.sleep(delayMs, this, label);
  }

  /** Settles like `promise`, but never once it is dead. */
  async gate<T>(promise: Promise<T>): Promise<T> {
    try {
      const value = await promise;
      if (this.#isDead) return await never();
      return value;
    } catch (error) {
      if (this.#isDead) return await never();
      throw error;
    }
  }

  #bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#random.integer(0, 255);
    return bytes;
  }
}

/** What never comes; one of its own each time, so that nothing gathers. */
function never<T>(): Promise<T> {
  return new Promise(() => {});
}
