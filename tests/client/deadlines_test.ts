import assert from "node:assert/strict";
import { Deadline, Deadlines } from "../../daemon/client/deadlines.ts";
import type { Clock } from "../../protocol/clock.ts";

/** A clock that goes when it is told to. */
class HandClock implements Clock {
  nowMs = 1_000.25;
  timers = new Map<number, { atMs: number; callback: () => void }>();
  #ids = 0;

  wallMs = () => this.nowMs;
  monotonicMs = () => this.nowMs;

  setTimer(delayMs: number, callback: () => void): { cancel(): void } {
    const id = ++this.#ids;
    this.timers.set(id, { atMs: this.nowMs + delayMs, callback });
    return { cancel: () => this.timers.delete(id) };
  }

  go(ms: number): void {
    const end = this.nowMs + ms;
    while (true) {
      const [next] = [...this.timers].filter(([, { atMs }]) => atMs <= end)
        .sort(([, a], [, b]) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.timers.delete(next[0]);
      this.nowMs = Math.max(this.nowMs, next[1].atMs);
      next[1].callback();
    }
    this.nowMs = end;
  }
}

class Noted extends Deadline {
  readonly clock: HandClock;
  dueAtMs: number[] = [];

  constructor(clock: HandClock) {
    super();
    this.clock = clock;
  }

  onDue(): void {
    this.dueAtMs.push(this.clock.nowMs);
  }
}

Deno.test("Deadlines rings not before the time and at most a 32nd, or 2 ms, late", () => {
  for (
    const delayMs of [
      0,
      0.5,
      1,
      7,
      63,
      64,
      500,
      2_047,
      2_048,
      10_000,
      3_600_000,
    ]
  ) {
    const clock = new HandClock();
    const deadlines = new Deadlines(clock);
    const deadline = new Noted(clock);
    const dueMs = clock.nowMs + delayMs;
    deadlines.add(deadline, delayMs);
    clock.go(delayMs * 2 + 10);
    assert.equal(deadline.dueAtMs.length, 1);
    const lateMs = deadline.dueAtMs[0]! - dueMs;
    assert.ok(
      lateMs >= 0 && lateMs <= Math.max(2, delayMs / 32),
      `${delayMs}: ${lateMs} late`,
    );
    deadlines.stop();
  }
});

Deno.test("Deadlines rings for each in the order of their moments, from one timer", () => {
  const clock = new HandClock();
  const deadlines = new Deadlines(clock);
  const order: number[] = [];
  class Named extends Deadline {
    readonly name: number;
    constructor(name: number) {
      super();
      this.name = name;
    }
    onDue(): void {
      order.push(this.name);
    }
  }
  for (const delayMs of [300, 10, 5_000, 20, 100]) {
    deadlines.add(new Named(delayMs), delayMs);
  }
  assert.equal(clock.timers.size, 1);
  clock.go(10_000);
  assert.deepEqual(order, [10, 20, 100, 300, 5_000]);
  assert.equal(clock.timers.size, 0);
});

Deno.test("Deadlines forgets what was removed, and Infinity never comes", () => {
  const clock = new HandClock();
  const deadlines = new Deadlines(clock);
  const all = Array.from({ length: 5 }, () => new Noted(clock));
  for (const each of all.slice(0, 4)) deadlines.add(each, 100);
  deadlines.add(all[4]!, Infinity);
  deadlines.remove(all[0]!);
  deadlines.remove(all[2]!);
  deadlines.remove(all[2]!);
  deadlines.remove(all[4]!);
  clock.go(1_000);
  assert.deepEqual(all.map((each) => each.dueAtMs.length), [0, 1, 0, 1, 0]);
  // Again, after it rang.
  deadlines.add(all[1]!, 50);
  clock.go(1_000);
  assert.equal(all[1]!.dueAtMs.length, 2);
  deadlines.add(all[1]!, 50);
  deadlines.stop();
  assert.equal(clock.timers.size, 0);
});
