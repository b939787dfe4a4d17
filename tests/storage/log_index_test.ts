import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { LogIndex } from "../../storage/log_index.ts";

interface Range {
  seq: number;
  base: number;
  end: number;
  bytes: number;
  time: number;
}

/** The same, slowly. */
class SlowIndex {
  ranges: Range[] = [];
  begin = 0;
  end = 0;

  add(seq: number, count: number, bytes: number, time: number): void {
    const last = this.ranges.at(-1);
    if (last?.seq === seq) {
      last.end += count;
      last.bytes += bytes;
      last.time = time;
    } else {
      const base = this.end;
      this.ranges.push({ seq, base, end: base + count, bytes, time });
    }
    this.end += count;
  }

  trim(begin: number): number[] {
    this.begin = begin;
    const gone = this.ranges.filter((range) => range.end <= begin);
    this.ranges = this.ranges.filter((range) => range.end > begin);
    return gone.map((range) => range.seq);
  }

  keeping(bytes: number): number {
    if (bytes <= 0) return this.end;
    let kept = 0;
    for (const range of this.ranges.toReversed()) {
      kept += range.bytes;
      if (kept >= bytes) return range.base;
    }
    return this.begin;
  }
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      seqs: fc.nat(2),
      count: fc.integer({ min: 1, max: 9 }),
      bytes: fc.integer({ min: 1, max: 100 }),
      time: fc.nat(3),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("trim" as const),
      part: fc.nat(10),
    }),
  },
);

Deno.test("LogIndex equals a slow index", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
    const index = new LogIndex(1);
    const slow = new SlowIndex();
    let seq = 1;
    let time = 0;
    for (const one of steps) {
      if (one.kind === "add") {
        seq += one.seqs;
        time += one.time;
        index.add(seq, one.count, one.bytes, time);
        slow.add(seq, one.count, one.bytes, time);
      } else {
        const begin = slow.begin +
          Math.floor((slow.end - slow.begin) * one.part / 10);
        const gone: number[] = [];
        index.trim(begin, (dropped) => gone.push(dropped));
        assert.deepEqual(gone, slow.trim(begin));
      }
      assert.equal(index.end, slow.end);
      assert.equal(index.bytes, slow.ranges.reduce((n, r) => n + r.bytes, 0));
      assert.deepEqual([...index.seqs()], slow.ranges.map((r) => r.seq));
    }
    for (let offset = slow.begin; offset <= slow.end; offset++) {
      const wanted = slow.ranges.find((range) => range.end > offset);
      const found = index.at(index.find(offset));
      assert.deepEqual(
        found,
        wanted && { seq: wanted.seq, base: wanted.base, end: wanted.end } ||
          null,
      );
    }
    for (let t = 0; t <= time + 1; t++) {
      const wanted = slow.ranges.find((range) => range.time >= t);
      assert.equal(index.offsetBefore(t), wanted?.base ?? slow.end);
    }
    for (let bytes = 0; bytes < 500; bytes += 7) {
      assert.equal(
        Math.max(index.offsetKeeping(bytes), slow.begin),
        Math.max(slow.keeping(bytes), slow.begin),
      );
    }
    for (let s = 0; s <= seq + 1; s++) {
      const wanted = slow.ranges.find((range) => range.seq === s);
      assert.equal(index.inValue(s)?.base, wanted?.base);
    }
  }));
});
