import assert from "node:assert/strict";
import { judgeFlatness, tellFlatness } from "./flatness.ts";
import type { Figure, Sample } from "./sampler.ts";

/** A figure's values, one a second for a minute and a half. */
function samplesOf(
  figure: Figure,
  valueAt: (second: number) => number,
): Sample[] {
  return Array.from({ length: 90 }, (_, second) => ({
    subject: "broker",
    figure,
    atMs: second * 1_000,
    value: valueAt(second),
  }));
}

const OPTIONS = { durationMs: 90_000 };

Deno.test("judgeFlatness() lets a figure warm up, fall, and leap for a moment", () => {
  const samples = samplesOf(
    "residentBytes",
    (second) => second < 25 ? second * 4 : second === 80 ? 1_000 : 100,
  );
  const [row] = judgeFlatness(samples, OPTIONS);
  assert.deepEqual([row!.early, row!.late, row!.isFlat], [100, 100, true]);
  const falling = samplesOf("dataBytes", (second) => 200 - second);
  assert.ok(judgeFlatness(falling, OPTIONS)[0]!.isFlat);
});

Deno.test("judgeFlatness() sees a figure that grows by more than a tenth", () => {
  const leaking = samplesOf("residentBytes", (second) => 100 + second / 2);
  const [row] = judgeFlatness(leaking, OPTIONS);
  assert.ok(!row!.isFlat, `${row!.growth}`);
  assert.match(tellFlatness([row!])[0]!, /GROWS/);
  assert.ok(judgeFlatness(leaking, { ...OPTIONS, growthMax: 0.2 })[0]!.isFlat);
});

Deno.test("judgeFlatness() lets two open files more be, not three", () => {
  const by = (count: number) =>
    samplesOf("openFiles", (second) => second < 60 ? 12 : 12 + count);
  assert.ok(judgeFlatness(by(2), OPTIONS)[0]!.isFlat);
  assert.ok(!judgeFlatness(by(3), OPTIONS)[0]!.isFlat);
});

Deno.test("judgeFlatness() takes nothing measured for not flat", () => {
  const early = samplesOf("dataBytes", () => 100).slice(0, 40);
  assert.ok(!judgeFlatness(early, OPTIONS)[0]!.isFlat);
});
