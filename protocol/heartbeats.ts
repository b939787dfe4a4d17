/**
 * Life signs for all peers of one endpoint, from one timer (PROTOCOL 4.2).
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";
import { LIMITS } from "./limits.ts";

/** What is looked after. */
export interface Heartbeating {
  /** When something was last heard, on the monotonic clock. */
  readonly heardMs: number;
  /** Asks for a life sign. */
  sendPing(): void;
  /** Nothing was heard for too long. */
  onSilent(silentMs: number): void;
}

/** Pings what has been silent for an interval and gives up what stays silent. */
export class Heartbeats {
  #clock: Clock;
  #intervalMs: number;
  #members = new Set<Heartbeating>();
  #timer: Timer | null = null;

  /**
   * @param clock Its monotonic time counts.
   * @param intervalMs Silence after which a PING goes out; three of them mean dead.
   */
  constructor(clock: Clock, intervalMs: number = LIMITS.heartbeatMs) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  /** The interval in milliseconds. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Begins to look after `member`. */
  add(member: Heartbeating): void {
    this.#members.add(member);
    if (this.#timer === null) this.#arm();
  }

  /** Looks after `member` no more. */
  remove(member: Heartbeating): void {
    this.#members.delete(member);
    if (this.#members.size === 0) this.stop();
  }

  /** Ends the timer; `add` starts it again. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(this.#intervalMs, () => this.#tick());
  }

  #tick(): void {
    this.#arm();
    const now = this.#clock.monotonicMs();
    for (const member of [...this.#members]) {
      const silentMs = now - member.heardMs;
      if (silentMs >= this.#intervalMs * LIMITS.heartbeatsMissed) {
        member.onSilent(silentMs);
      } else if (silentMs >= this.#intervalMs * 0.9) member.sendPing();
    }
  }
}
