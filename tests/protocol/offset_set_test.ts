import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { MomError } from "../../protocol/errors.ts";
import { OffsetSet } from "../../protocol/offset_set.ts";

const TOP = 40;

/** The plain thing that an OffsetSet must behave like. */
class Model {
  members = new Set<number>();
  add(from: number, to: number): number {
    const before = this.members.size;
    for (let n = from; n < to; n++) this.members.add(n);
    return this.members.size - before;
  }
  remove(from: number, to: number): number {
    const before = this.members.size;
    for (let n = from; n < to; n++) this.members.delete(n);
    return before - this.members.size;
  }
  countIn(from: number, to: number): number {
    let count = 0;
    for (let n = from; n < to; n++) if (this.members.has(n)) count++;
    return count;
  }
}

/** The flat form, found without cleverness. */
function flatOf(model: Model): number[] {
  let floor = 0;
  while (model.members.has(floor)) floor++;
  const flat = [floor];
  for (let n = floor + 1; n <= TOP + 1; n++) {
    if (model.members.has(n) !== model.members.has(n - 1)) flat.push(n);
  }
  return flat;
}

Deno.test("OffsetSet behaves like a set of numbers when used at random", () => {
  const number = fc.nat(TOP);
  const step = fc.record({
    kind: fc.constantFrom("add", "add", "add", "remove", "raise", "below"),
    from: number,
    to: number,
  });
  fc.assert(
    fc.property(
      fc.nat(10),
      fc.array(step, { maxLength: 30 }),
      (floor, steps) => {
        const set = new OffsetSet(floor);
        const model = new Model();
        model.add(0, floor);
        for (const { kind, from, to } of steps) {
          if (kind === "add") {
            assert.equal(set.add(from, to), model.add(from, to));
          } else if (kind === "remove") {
            assert.equal(set.remove(from, to), model.remove(from, to));
          } else if (kind === "raise") {
            assert.equal(set.raiseFloor(to), model.add(0, to));
          } else assert.equal(set.removeBelow(to), model.remove(0, to));
          const flat = flatOf(model);
          assert.deepEqual(set.toArray(), flat);
          assert.equal(set.floor, flat[0]);
          const below = flat[0] === 0 ? [] : [[0, flat[0]]];
          assert.deepEqual(set.spans(), [...below, ...set.ranges()]);
          assert.equal(set.end, Math.max(-1, ...model.members) + 1);
          assert.equal(set.countIn(from, to), model.countIn(from, to));
          assert.equal(set.has(from), model.members.has(from));
          const missing: number[] = [];
          for (const [a, b] of set.missing(from, to)) {
            assert(a < b);
            for (let n = a; n < b; n++) missing.push(n);
          }
          const absent: number[] = [];
          for (let n = from; n < to; n++) {
            if (!model.members.has(n)) absent.push(n);
          }
          assert.deepEqual(missing, absent);
          assert.deepEqual(OffsetSet.fromArray(flat).toArray(), flat);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("OffsetSet.add() tells how many numbers are new", () => {
  const set = new OffsetSet(10);
  assert.equal(set.add(0, 10), 0);
  assert.equal(set.add(12, 15), 3);
  assert.equal(set.add(20, 25), 5);
  assert.equal(set.add(14, 21), 5);
  assert.deepEqual(set.ranges(), [[12, 25]]);
  assert.equal(set.rangeCount, 1);
  assert.equal(set.add(10, 13), 2);
  assert.equal(set.floor, 25);
  assert.equal(set.add(5, 5), 0);
  assert.equal(set.add(30, 28), 0);
});

Deno.test("OffsetSet.clone() shares nothing with what it was made from", () => {
  const set = new OffsetSet(1);
  set.add(3, 4);
  const copy = set.clone();
  copy.add(5, 6);
  copy.raiseFloor(3);
  assert.deepEqual(set.toArray(), [1, 3, 4]);
  assert.deepEqual(copy.toArray(), [4, 5, 6]);
});

Deno.test("OffsetSet.fromArray() refuses what is no flat form", () => {
  for (
    const wrong of [
      [],
      [1, 2],
      [1, 1, 2],
      [0, 2, 2],
      [0, 2, 3, 3, 4],
      [-1],
      [1.5],
      [NaN],
      [0, 5, 4],
    ]
  ) {
    assert.throws(
      () => OffsetSet.fromArray(wrong),
      (error) => error instanceof MomError && error.code === "bad_message",
    );
  }
});

Deno.test("OffsetSet.add() stays quick when every second number is added", () => {
  const set = new OffsetSet();
  const count = 100_000;
  for (let i = 0; i < count; i++) {
    assert.equal(set.add(2 * i + 1, 2 * i + 2), 1);
  }
  assert.equal(set.rangeCount, count);
  assert.equal(set.countIn(0, 2 * count), count);
  for (let i = 0; i < count; i += 1_000) {
    assert.equal(set.add(2 * i, 2 * i + 1), 1);
  }
  assert.equal(set.raiseFloor(2 * count), count - 100);
  assert.deepEqual(set.toArray(), [2 * count]);
});
