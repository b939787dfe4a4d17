/**
 * Time limits of many waits from one timer. Each wait stands in the bucket of
 * its moment, rounded up (a millisecond for short waits, 64 for long ones), so
 * that beginning and ending a wait costs a few assignments.
 *
 * @module
 */

import type { Clock, Timer } from "../../protocol/clock.ts";

/** Something that may run out of time. A subclass says what happens then. */
export abstract class Deadline {
  /** Where it stands; the list's business. */
  bucket: Bucket | null = null;
  /** Its neighbour before; the list's business. */
  before: Deadline | null = null;
  /** Its neighbour behind; the list's business. */
  after: Deadline | null = null;

  /** The time is up. */
  abstract onDue(): void;
}

/** All that runs out in the same moment: a doubly linked list. */
class Bucket {
  first: Deadline | null = null;
  readonly dueMs: number;

  constructor(dueMs: number) {
    this.dueMs = dueMs;
  }
}

/** Longest delay that timers take. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** The time limits of one handle. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #buckets = new Map<number, Bucket>();
  #timer: Timer | null = null;
  #armedMs = Infinity;

  /** @param clock Its monotonic time counts. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Calls `onDue` of `deadline` after `delayMs`, at most a 32nd of it late.
   *
   * @param delayMs From 0; `Infinity` never comes.
   */
  add(deadline: Deadline, delayMs: number): void {
    if (delayMs === Infinity) return;
    const dueMs = roundUp(this.#clock.monotonicMs() + delayMs, delayMs);
    const bucket = this.#bucketAt(dueMs);
    deadline.bucket = bucket;
    deadline.after = bucket.first;
    if (bucket.first !== null) bucket.first.before = deadline;
    bucket.first = deadline;
    if (dueMs < this.#armedMs) this.#arm(dueMs);
  }

  /** Forgets `deadline`; does nothing when it is not waited for. */
  remove(deadline: Deadline): void {
    const { bucket, before, after } = deadline;
    if (bucket === null) return;
    if (before === null) bucket.first = after;
    else before.after = after;
    if (after !== null) after.before = before;
    deadline.bucket = deadline.before = deadline.after = null;
    // The timer stays: waits come and go all the time, one that rings for nothing is cheap.
    if (bucket.first === null) this.#buckets.delete(bucket.dueMs);
  }

  /** Ends the timer and forgets everything. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#armedMs = Infinity;
    this.#buckets.clear();
  }

  #bucketAt(dueMs: number): Bucket {
    let bucket = this.#buckets.get(dueMs);
    if (bucket === undefined) {
      bucket = new Bucket(dueMs);
      this.#buckets.set(dueMs, bucket);
    }
    return bucket;
  }

  #arm(dueMs: number): void {
    this.#timer?.cancel();
    this.#armedMs = dueMs;
    const delayMs = dueMs - this.#clock.monotonicMs();
    this.#timer = this.#clock.setTimer(
      Math.min(Math.max(0, Math.ceil(delayMs)), DELAY_MS_MAX),
      () => this.#ring(),
    );
  }

  #ring(): void {
    this.#timer = null;
    this.#armedMs = Infinity;
    const nowMs = this.#clock.monotonicMs();
    for (const bucket of [...this.#buckets.values()]) {
      if (bucket.dueMs <= nowMs) this.#empty(bucket);
    }
    let nextMs = Infinity;
    for (const dueMs of this.#buckets.keys()) nextMs = Math.min(nextMs, dueMs);
    if (nextMs < this.#armedMs) this.#arm(nextMs);
  }

  #empty(bucket: Bucket): void {
    let deadline = bucket.first;
    while (deadline !== null) {
      this.remove(deadline);
      deadline.onDue();
      deadline = bucket.first;
    }
  }
}

function roundUp(dueMs: number, delayMs: number): number {
  const step = delayMs < 64 ? 1 : delayMs < 2_048 ? 2 : 64;
  return Math.ceil(dueMs / step) * step;
}
