import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import {
  contentStart,
  countRecords,
  cutBatch,
  forEachRecord,
  recordEnd,
  splitOffset,
} from "../../protocol/batch.ts";
import { CborWriter, headBytes } from "../../protocol/cbor.ts";
import { MomError } from "../../protocol/errors.ts";

function batchOf(lengths: number[]): Uint8Array {
  const writer = new CborWriter();
  for (const [index, length] of lengths.entries()) {
    writer.bytes(new Uint8Array(length).fill(index));
  }
  return writer.take();
}

const isBad = (error: unknown) =>
  error instanceof MomError && error.code === "bad_message";

const LENGTHS = [0, 1, 23, 24, 255, 256, 65_535, 65_536];

Deno.test("countRecords() counts records with heads of every size", () => {
  assert.equal(countRecords(batchOf(LENGTHS)), LENGTHS.length);
  // A 64-bit length is legal where a shorter one would do.
  const long = Uint8Array.of(0x5b, 0, 0, 0, 0, 0, 0, 0, 2, 7, 7, 0x41, 9);
  assert.equal(countRecords(long), 2);
});

Deno.test("countRecords() refuses what is no row of byte strings", () => {
  const cases = [
    [],
    [0x5f, 0x41, 0, 0xff], // indefinite length
    [0x41], // cut off
    [0x58], // head cut off
    [0x59, 1],
    [0x40, 0x00], // an integer behind the first
    [0x63, 0x61, 0x62, 0x63], // text
    [0x5c],
    [0xff],
    [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
    [0x5b, 0, 0, 0, 1, 0, 0, 0, 0],
  ];
  for (const bytes of cases) {
    assert.throws(() => countRecords(Uint8Array.from(bytes)), isBad);
  }
});

Deno.test("forEachRecord() gives the content of each record in order", () => {
  const seen: number[][] = [];
  forEachRecord(batchOf(LENGTHS), (content, index) => {
    assert(content.every((byte) => byte === index));
    seen.push([index, content.length]);
  });
  assert.deepEqual(seen, LENGTHS.map((length, index) => [index, length]));
});

Deno.test("splitOffset() cuts a batch where records meet", () => {
  const batch = batchOf(LENGTHS);
  for (let n = 0; n <= LENGTHS.length; n++) {
    const at = splitOffset(batch, n);
    if (n > 0) assert.equal(countRecords(batch.subarray(0, at)), n);
    if (n < LENGTHS.length) {
      assert.equal(countRecords(batch.subarray(at)), LENGTHS.length - n);
    }
  }
  assert.throws(() => splitOffset(batch, LENGTHS.length + 1), isBad);
});

Deno.test("cutBatch() takes as many whole records as fit and never none", () => {
  fc.assert(fc.property(
    fc.array(fc.nat(300), { minLength: 1, maxLength: 20 }),
    fc.nat(3_000),
    (lengths, room) => {
      const batch = batchOf(lengths);
      const cut = cutBatch(batch, room);
      assert.equal(countRecords(batch.subarray(0, cut.bytes)), cut.count);
      assert(cut.bytes <= room || cut.count === 1);
      if (cut.count < lengths.length) {
        assert(recordEnd(batch, cut.bytes) > room);
      } else assert.equal(cut.bytes, batch.length);
    },
  ));
});

Deno.test("headBytes() tells the size of the head that the writer makes", () => {
  for (const length of LENGTHS) {
    const batch = batchOf([length]);
    assert.equal(headBytes(length), contentStart(batch, 0));
    assert.equal(headBytes(length) + length, batch.length);
  }
  assert.equal(headBytes(2 ** 32), 9);
});

Deno.test("countRecords() throws nothing but bad_message when bytes are random", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.integer({ min: 0, max: 31 }),
      (bytes, low) => {
        if (bytes.length > 0) bytes[0] = 0x40 | low;
        try {
          const count = countRecords(bytes);
          assert(count >= 1 && count <= bytes.length);
          assert.equal(splitOffset(bytes, count), bytes.length);
        } catch (error) {
          assert(isBad(error), String(error));
        }
      },
    ),
    { numRuns: 5_000 },
  );
});
