import assert from "node:assert/strict";
import { type Heartbeating, Heartbeats } from "../../protocol/heartbeats.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { FakeClock } from "../helpers/fake_clock.ts";

const SECOND = 1_000;

/** Answers, or does not; says and hears what a test wants. */
class Member implements Heartbeating {
  heardMs: number;
  saidMs: number;
  pings: number[] = [];
  deaths: number[] = [];
  answers = true;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
    this.heardMs = this.saidMs = clock.monotonicMs();
  }

  sendPing(): void {
    this.pings.push(this.#clock.monotonicMs());
    this.saidMs = this.#clock.monotonicMs();
    if (this.answers) this.hear();
  }

  hear(): void {
    this.heardMs = this.#clock.monotonicMs();
  }

  onSilent(silentMs: number): void {
    this.deaths.push(silentMs);
  }
}

function watch(missed?: number) {
  const clock = new FakeClock();
  const heartbeats = new Heartbeats(clock, 10 * SECOND, missed);
  const member = new Member(clock);
  heartbeats.add(member);
  return {
    clock,
    member,
    [Symbol.dispose]: () => heartbeats.stop(),
  };
}

Deno.test("[P-4.2] Heartbeats ask once an interval, and keep who answers", () => {
  using all = watch();
  all.clock.advance(100 * SECOND);
  assert.ok(all.member.pings.length >= 9 && all.member.pings.length <= 10);
  assert.deepEqual(all.member.deaths, []);
});

Deno.test("[P-4.2] Heartbeats give up who is silent for three intervals, at most a tenth later", () => {
  using all = watch();
  all.member.answers = false;
  all.clock.advance(29.9 * SECOND);
  assert.deepEqual(all.member.deaths, []);
  assert.equal(all.member.pings.length, 2);
  all.clock.advance(1.2 * SECOND);
  assert.ok(all.member.deaths[0] >= 30 * SECOND);
});

Deno.test("[P-4.2] Heartbeats of a side that connects give up early enough to be back within three intervals", () => {
  using all = watch(LIMITS.heartbeatsMissedByClient);
  all.member.answers = false;
  const back = LIMITS.takeoverPingMs + LIMITS.reconnectMinMs;
  all.clock.advance(30 * SECOND - back);
  assert.ok(all.member.deaths.length > 0);
});

Deno.test("[P-4.2] Heartbeats say something where nothing was said, also while much is heard", () => {
  using all = watch();
  for (let second = 0; second < 60; second++) {
    all.member.hear();
    all.clock.advance(SECOND);
  }
  assert.ok(all.member.pings.length >= 5, `${all.member.pings.length} pings`);
});

Deno.test("Heartbeats give up nobody because this process stood still", () => {
  using all = watch();
  for (const stillMs of [20, 40, 60, 3600].map((s) => s * SECOND)) {
    all.clock.stall(stillMs);
    assert.deepEqual(all.member.deaths, [], `after ${stillMs} ms`);
    // What was unread is read, or the next PING is answered.
    all.clock.advance(15 * SECOND);
    assert.deepEqual(all.member.deaths, [], `15 s after ${stillMs} ms`);
  }
  all.member.answers = false;
  all.clock.stall(40 * SECOND);
  all.clock.advance(31 * SECOND);
  assert.ok(all.member.deaths.length > 0, "who stays silent is given up");
});
