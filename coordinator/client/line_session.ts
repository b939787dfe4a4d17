/**
 * A client's session at one shard: whether it is open, what would be lost with it,
 * and when the shard was last told of it.
 *
 * @module
 */

import { idleMs } from "../limits.ts";
import type { Permit } from "./permit.ts";

/** A lease has so many renewals. */
export const RENEWALS = 3;

/** One session after another. */
export class LineSession {
  readonly #leaseMs: number;
  readonly #permits = new Set<Permit>();
  /** Something was consumed, and the shard does not know that it was heard. */
  #owesNews = false;
  #toldMs = -Infinity;
  /** Its number; 0 before the first. */
  number = 0;
  /** The shard has welcomed it, and has not ended it. */
  isOpen = false;

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** Whether there is something to lose. */
  get holds(): boolean {
    return this.#permits.size > 0 || this.#owesNews;
  }

  /** A record of it is on its way. */
  told(nowMs: number): void {
    this.#toldMs = nowMs;
    this.#owesNews = false;
  }

  /** Something was consumed. */
  oweNews(): void {
    this.#owesNews = true;
  }

  /** Whether the shard is to hear of it again. */
  isRenewalDue(nowMs: number): boolean {
    return nowMs - this.#toldMs >= this.#leaseMs / RENEWALS;
  }

  /** Whether the shard may have forgotten it, if it has nothing to lose. */
  mayBeForgotten(nowMs: number): boolean {
    return nowMs - this.#toldMs > idleMs(this.#leaseMs) / 2;
  }

  /** A permit was granted. */
  hold(permit: Permit): void {
    this.#permits.add(permit);
  }

  /** A permit is not held any more. */
  letGo(permit: Permit): void {
    this.#permits.delete(permit);
  }

  /** The permit of a semaphore that has been held for longest. */
  oldestPermit(name: string): Permit | null {
    for (const permit of this.#permits) {
      if (permit.name === name) return permit;
    }
    return null;
  }

  /** All permits are lost. */
  losePermits(): void {
    for (const permit of this.#permits) permit.lose();
    this.#permits.clear();
  }
}
