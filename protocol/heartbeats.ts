/**
 * Life signs for all peers of one endpoint, from one timer (PROTOCOL 4.2).
 *
 * Each side says something at least once an interval, also while it hears the
 * other all the time: who takes a minute to receive one large message over a slow
 * line has nothing to answer, and is alive all the same.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";
import { LIMITS } from "./limits.ts";

/** What is looked after. */
export interface Heartbeating {
  /** When something was last heard, on the monotonic clock. */
  readonly heardMs: number;
  /** When something was last said, on the monotonic clock. */
  readonly saidMs: number;
  /** Asks for a life sign; that is one itself. */
  sendPing(): void;
  /** Nothing was heard for too long. */
  onSilent(silentMs: number): void;
}

/** Looks at the members in each interval. */
const LOOKS = 10;
/** A look that comes this part of an interval too late: the process stood still. */
const LATE = 0.5;

/** Pings where it has been silent for an interval, either way, and gives up what stays silent. */
export class Heartbeats {
  #clock: Clock;
  #intervalMs: number;
  #patienceMs: number;
  /** The members, and when each was last asked. */
  #members = new Map<Heartbeating, number>();
  #timer: Timer | null = null;
  #dueMs = 0;
  /** What came before lay unread: silence is counted from here. */
  #awakeMs = -Infinity;

  /**
   * @param clock Its monotonic time counts.
   * @param intervalMs Silence after which a PING goes out.
   * @param missed Intervals of silence that mean dead.
   */
  constructor(
    clock: Clock,
    intervalMs: number = LIMITS.heartbeatMs,
    missed: number = LIMITS.heartbeatsMissed,
  ) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#patienceMs = intervalMs * missed;
  }

  /** The interval in milliseconds. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Begins to look after `member`. */
  add(member: Heartbeating): void {
    this.#members.set(member, -Infinity);
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
    const delayMs = this.#intervalMs / LOOKS;
    this.#dueMs = this.#clock.monotonicMs() + delayMs;
    this.#timer = this.#clock.setTimer(delayMs, () => this.#tick());
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    // Timers come before sockets: nobody is dead because we did not listen.
    if (nowMs - this.#dueMs >= this.#intervalMs * LATE) this.#awakeMs = nowMs;
    this.#arm();
    for (const [member, askedMs] of [...this.#members]) {
      const silentMs = nowMs - Math.max(member.heardMs, this.#awakeMs);
      if (silentMs >= this.#patienceMs) {
        member.onSilent(nowMs - member.heardMs);
      } else if (this.#isDue(member, askedMs, nowMs)) {
        this.#members.set(member, nowMs);
        member.sendPing();
      }
    }
  }

  #isDue(member: Heartbeating, askedMs: number, nowMs: number): boolean {
    const quietMs = nowMs - Math.min(member.heardMs, member.saidMs);
    return Math.min(quietMs, nowMs - askedMs) >= this.#intervalMs;
  }
}
