import assert from "node:assert/strict";
import { Pace } from "./pace.ts";

Deno.test("Pace gives what is due, fractions in the next turn", () => {
  const pace = new Pace(250, 0);
  assert.deepEqual([2, 4, 8, 1_000].map((ms) => pace.take(ms)), [0, 1, 1, 248]);
});

Deno.test("Pace makes up for a short delay, not for a standstill", () => {
  const pace = new Pace(1_000, 0);
  assert.equal(pace.take(500), 500);
  assert.equal(pace.take(100_000), 2_000);
});
