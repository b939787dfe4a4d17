import assert from "node:assert/strict";
import { createLogger } from "../../program/log.ts";
import { SpaceWatch } from "../../program/space_watch.ts";
import { Ticks } from "../../program/ticks.ts";
import { FakeClock } from "../helpers/fake_clock.ts";

Deno.test("Ticks come steadily, and tell how long the process stood still", () => {
  const clock = new FakeClock();
  const late: number[] = [];
  const ticks = new Ticks(clock, 250, (lateMs) => late.push(lateMs));
  clock.advance(249);
  assert.deepEqual(late, []);
  clock.advance(501);
  assert.deepEqual(late, [0, 0, 0]);
  clock.stall(10_250);
  // One tick for the whole time, and the next a step after that.
  assert.deepEqual(late.splice(0), [0, 0, 0, 10_000]);
  clock.advance(249);
  assert.deepEqual(late, []);
  clock.advance(1);
  assert.deepEqual(late, [0]);
  ticks.stop();
});

Deno.test("Ticks that are stopped in one of them do not come again", () => {
  const clock = new FakeClock();
  let count = 0;
  const ticks = new Ticks(clock, 100, () => {
    if (++count === 2) ticks.stop();
  });
  clock.advance(100);
  assert.equal(count, 1);
  clock.advance(1_000);
  assert.equal(count, 2);
  ticks.stop();
});

Deno.test("SpaceWatch tells once that a store is full, and once that it has room", () => {
  const events: unknown[] = [];
  const logger = createLogger({
    clock: new FakeClock(),
    write: (line) => events.push(JSON.parse(line).event),
  });
  let hasRoom = true;
  const watch = new SpaceWatch({ canAppend: () => hasRoom }, logger);
  watch.look();
  assert.deepEqual(events, []);
  hasRoom = false;
  watch.look();
  watch.look();
  assert.deepEqual(events, ["storage_full"]);
  hasRoom = true;
  watch.look();
  watch.look();
  assert.deepEqual(events, ["storage_full", "storage_free"]);
});
