import assert from "node:assert/strict";
import { unlessAborted } from "../../examples/simulation/actor.ts";
import { Pace } from "../../examples/simulation/pace.ts";
import { Random } from "../../examples/simulation/random.ts";

Deno.test("Pace.pause() ends early, also when the signal was there before", async () => {
  const pace = new Pace(1);
  const closing = new AbortController();
  const paused = unlessAborted(pace.pause(600, closing.signal), closing.signal);
  closing.abort();
  assert.equal(await paused, null);
  const late = unlessAborted(pace.pause(600, closing.signal), closing.signal);
  assert.equal(await late, null);
  await new Pace(1_000).pause(1);
});

Deno.test("Random draws the same for the same seed and name, else something else", () => {
  const draw = (seed: number, name: string) => {
    const random = new Random(seed, name);
    return Array.from({ length: 20 }, () => random.below(1_000)).join();
  };
  assert.equal(draw(1, "person-1"), draw(1, "person-1"));
  assert.notEqual(draw(1, "person-1"), draw(2, "person-1"));
  assert.notEqual(draw(1, "person-1"), draw(1, "person-2"));
});

Deno.test("Random keeps to its bounds and shares", () => {
  const random = new Random(7, "anybody");
  let hits = 0;
  for (let draw = 0; draw < 10_000; draw++) {
    const value = random.between(2, 3);
    assert.ok(value >= 2 && value < 3);
    if (random.percent(81)) hits++;
  }
  assert.ok(hits > 7_900 && hits < 8_300, `${hits}`);
  assert.equal(random.percent(0), false);
  assert.equal(random.percent(100), true);
});
