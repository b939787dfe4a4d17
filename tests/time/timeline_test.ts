import assert from "node:assert/strict";
import { Timeline } from "../../storage/timeline.ts";
import { FakeClock } from "../helpers/fake_clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = 1_700_000_000_000;

function open(clock: FakeClock, lastStampMs = 0) {
  const commit = { openPosition: 1, isOpenEmpty: true };
  return { timeline: new Timeline(clock, lastStampMs, commit), commit };
}

Deno.test("Timeline's steady time passes as time does, whatever the wall clock is set to", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock);
  for (const stepMs of [HOUR, -HOUR, -HOUR, HOUR, 50 * 365 * DAY]) {
    const before = timeline.nowMs();
    clock.stepWall(stepMs);
    clock.advance(MINUTE);
    assert.equal(timeline.nowMs() - before, MINUTE);
  }
});

Deno.test("Timeline's stamps never fall, and are wall time again when the clock has caught up", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock);
  let last = timeline.stamp();
  for (const stepMs of [HOUR, -HOUR, 10 * MINUTE, -30 * MINUTE]) {
    clock.stepWall(stepMs);
    clock.advance(1_000);
    const stamp = timeline.stamp();
    assert.ok(stamp >= last);
    last = stamp;
  }
  clock.advance(2 * HOUR);
  assert.equal(timeline.stamp(), clock.wallMs());
});

Deno.test("Timeline's stamps do not stay in a future in which nothing was stamped", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock);
  clock.stepWall(HOUR);
  timeline.look();
  timeline.stampOfAge(DAY);
  clock.stepWall(-HOUR);
  assert.equal(timeline.stamp(), START);
});

Deno.test("Timeline reads back what it wrote before and after each step", () => {
  const clock = new FakeClock(START);
  const { timeline, commit } = open(clock);
  const written: { stored: number; position: number; steady: number }[] = [];
  for (const stepMs of [0, HOUR, -2 * HOUR, 30 * MINUTE, -DAY]) {
    clock.stepWall(stepMs);
    clock.advance(MINUTE);
    timeline.look();
    const steady = timeline.nowMs() + 5 * MINUTE;
    const stored = timeline.toStored(steady);
    // As the next process will take it: wall time.
    assert.equal(stored, clock.wallMs() + 5 * MINUTE);
    written.push({ stored, position: commit.openPosition, steady });
    commit.openPosition++;
  }
  for (const { stored, position, steady } of written) {
    assert.equal(timeline.fromStored(stored, position), steady);
  }
  assert.equal(timeline.fromStored(null, 1), null);
});

Deno.test("Timeline goes on from the last stamp when the clock was set back while nobody ran", () => {
  const clock = new FakeClock(START - HOUR);
  const { timeline, commit } = open(clock, START);
  // A deadline of the process before, a minute ahead of it.
  assert.equal(
    timeline.fromStored(START + MINUTE, 0) - timeline.nowMs(),
    MINUTE,
  );
  const stored = timeline.toStored(timeline.nowMs() + MINUTE);
  assert.equal(stored, clock.wallMs() + MINUTE);
  assert.equal(
    timeline.fromStored(stored, commit.openPosition) - timeline.nowMs(),
    MINUTE,
  );
});

Deno.test("Timeline reads back what one commit holds from before and after a step", () => {
  const clock = new FakeClock(START);
  const { timeline, commit } = open(clock);
  const steady = timeline.nowMs() + MINUTE;
  const before = timeline.toStored(steady);
  commit.isOpenEmpty = false;
  clock.stepWall(HOUR);
  const after = timeline.toStored(steady);
  commit.openPosition++;
  const next = timeline.toStored(steady);
  assert.equal(timeline.fromStored(before, 1), steady);
  assert.equal(timeline.fromStored(after, 1), steady);
  assert.equal(timeline.fromStored(next, 2), steady);
  assert.equal(next - before, HOUR);
});

Deno.test("Timeline expires nothing because a clock was years ahead before it ran", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock, START + 73 * 365 * DAY);
  assert.equal(
    timeline.fromStored(START + MINUTE, 0) - timeline.nowMs(),
    MINUTE,
  );
  assert.equal(timeline.toStored(timeline.nowMs()), clock.wallMs());
});

Deno.test("stampOfAge() makes nothing old by a jump forward, and nothing young by one back", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock);
  const isOlder = (stamp: number, ageMs: number) =>
    stamp < timeline.stampOfAge(ageMs);
  const first = timeline.stamp();
  clock.advance(HOUR);
  clock.stepWall(10 * DAY);
  clock.advance(MINUTE);
  const second = timeline.stamp();
  clock.advance(2 * HOUR);
  assert.ok(isOlder(first, 3 * HOUR));
  assert.ok(!isOlder(first, 4 * HOUR), "three hours, not ten days");
  assert.ok(isOlder(second, HOUR));
  assert.ok(!isOlder(second, 3 * HOUR));
  clock.stepWall(-HOUR);
  timeline.look();
  clock.advance(3 * HOUR);
  assert.ok(isOlder(second, 3 * HOUR));
  assert.ok(!isOlder(first, 7 * HOUR));
});

Deno.test("stampOfAge() forgets a jump that was taken back", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock);
  clock.stepWall(HOUR);
  timeline.look();
  clock.stepWall(-HOUR);
  timeline.look();
  const stamp = timeline.stamp();
  clock.advance(DAY);
  assert.equal(timeline.stampOfAge(DAY), stamp);
});

Deno.test("Timeline sees no step where the process stopped between its two clocks", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock);
  const { wallMs } = clock;
  let stops = 1;
  clock.wallMs = () => {
    if (stops-- > 0) clock.stall(MINUTE);
    return wallMs.call(clock);
  };
  const before = timeline.nowMs();
  timeline.look();
  assert.equal(timeline.toStored(before), before);
});

Deno.test("Timeline bears a clock that is set again and again", () => {
  const clock = new FakeClock(START);
  const { timeline } = open(clock);
  const first = timeline.stamp();
  for (let n = 0; n < 1_000; n++) {
    clock.stepWall(n % 3 === 0 ? -HOUR : HOUR);
    clock.advance(1_000);
    timeline.look();
  }
  const before = timeline.nowMs();
  clock.advance(HOUR);
  assert.equal(timeline.nowMs() - before, HOUR);
  assert.ok(timeline.stamp() >= first);
});
