import assert from "node:assert/strict";
import {
  medianOf,
  mediansByName,
  percentileOf,
  spreadOf,
} from "./statistics.ts";

Deno.test("spreadOf() gives the least, the middle and the greatest", () => {
  assert.deepEqual(spreadOf([30, 9, 100]), { min: 9, median: 30, max: 100 });
  assert.deepEqual(spreadOf([7]), { min: 7, median: 7, max: 7 });
});

Deno.test("medianOf() lies half way between the two in the middle", () => {
  assert.equal(medianOf([4, 1, 10, 2]), 3);
});

Deno.test("percentileOf() is the smallest that the share does not exceed", () => {
  const values = Array.from({ length: 1_000 }, (_, index) => 1_000 - index);
  assert.equal(percentileOf(values, 0.5), 500);
  assert.equal(percentileOf(values, 0.99), 990);
  assert.equal(percentileOf(values, 0.999), 999);
  assert.equal(percentileOf(values, 0), 1);
  assert.equal(percentileOf(values, 1), 1_000);
});

Deno.test("mediansByName() counts a name where it is", () => {
  const maps: Record<string, number>[] = [{ a: 1, b: 5 }, { a: 3 }, { a: 9 }];
  assert.deepEqual(mediansByName(maps), { a: 3, b: 5 });
});

Deno.test("statistics of nothing are refused", () => {
  assert.throws(() => spreadOf([]), RangeError);
  assert.throws(() => percentileOf([], 0.5), RangeError);
});
