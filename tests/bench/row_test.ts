import assert from "node:assert/strict";
import { type Measured, ratiosOf, rowsOf } from "./row.ts";
import { alignColumns, rowTable, shortNumber } from "./table.ts";

function measured(value: number, more: Partial<Measured> = {}): Measured {
  const key = {
    workload: "publish",
    variant: "",
    road: "direct",
    peer: "mom",
    bytes: 100,
    unit: "messages/s",
    ...more.key,
  };
  return {
    variant: "",
    value,
    unit: key.unit,
    messages: 1_000,
    lost: 0,
    reordered: 0,
    acknowledged: "disk",
    ...more,
    key,
  };
}

const theirs = (value: number, unit = "messages/s") =>
  measured(value, {
    key: { ...measured(1).key, road: "server", peer: "redis-always", unit },
  });

Deno.test("rowsOf() makes a row of the repetitions of one measure", () => {
  const usage = (seconds: number) => ({
    cpuSeconds: { broker: seconds },
    peakMiB: { broker: 90 },
  });
  const rows = rowsOf([
    measured(10, { usage: usage(0.002) }),
    theirs(7),
    measured(30, { usage: usage(0.004) }),
    measured(20, { usage: usage(0.003) }),
  ]);
  assert.deepEqual(rows.map(({ peer }) => peer), ["mom", "redis-always"]);
  const { min, median, max, cpuSeconds, cpuMicrosPerMessage, peakMiB } =
    rows[0]!;
  assert.deepEqual([min, median, max], [10, 20, 30]);
  assert.deepEqual(cpuSeconds, { broker: 0.003 });
  assert.deepEqual(cpuMicrosPerMessage, { broker: 3 });
  assert.deepEqual(peakMiB, { broker: 90 });
  assert.deepEqual(rows[0]!.failures, []);
});

Deno.test("rowsOf() fails a row in which a message was lost or came late", () => {
  const [lost] = rowsOf([measured(1), measured(2, { lost: 3 })]);
  assert.deepEqual(lost!.failures, ["3 lost"]);
  const [late] = rowsOf([measured(1, { reordered: 1 }), measured(2)]);
  assert.deepEqual(late!.failures, ["1 out of order"]);
  assert.match(rowTable([late!]), /FAILED: 1 out of order$/);
  const [told] = rowsOf([measured(1, { failure: "no sync" })]);
  assert.deepEqual(told!.failures, ["no sync"]);
});

Deno.test("ratiosOf() is above 1 where we are faster, by rate and by time", () => {
  const [byRate] = ratiosOf(rowsOf([measured(20), theirs(10)]));
  assert.equal(byRate!.ratio, 2);
  const unit = "us";
  const ours = measured(20, { key: { ...measured(1).key, unit } });
  const [byTime] = ratiosOf(rowsOf([ours, theirs(10, unit)]));
  assert.equal(byTime!.ratio, 0.5);
  assert.deepEqual(ratiosOf(rowsOf([measured(20), theirs(10, "us")])), []);
});

Deno.test("tables are aligned, and numbers short", () => {
  assert.equal(alignColumns([["a", "bb"], ["ccc", "d"]]), "a    bb\nccc  d");
  const numbers = [0.123, 12.34, 9_994, 12_345, 1_234_567, NaN];
  assert.deepEqual(numbers.map(shortNumber), [
    "0.12",
    "12.3",
    "9994",
    "12.3k",
    "1.23M",
    "?",
  ]);
});
