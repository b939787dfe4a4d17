import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import {
  CborReader,
  CborWriter,
  decodeFrameFields,
} from "../../protocol/cbor.ts";
import { MomError } from "../../protocol/errors.ts";

function encode(item: unknown): Uint8Array {
  const writer = new CborWriter(1);
  writer.item(item);
  return writer.take();
}

function decode(bytes: Uint8Array): unknown {
  const reader = new CborReader(bytes);
  const item = reader.readItem();
  reader.expectEnd();
  return item;
}

const hex = (bytes: Uint8Array): string => bytes.toHex();
const isBad = (error: unknown) =>
  error instanceof MomError && error.code === "bad_message";

/** Examples of RFC 8949, appendix A, that frames can hold. */
const EXAMPLES: [unknown, string][] = [
  [0, "00"],
  [23, "17"],
  [24, "1818"],
  [100, "1864"],
  [1000, "1903e8"],
  [1000000, "1a000f4240"],
  [1000000000000, "1b000000e8d4a51000"],
  [Number.MAX_SAFE_INTEGER, "1b001fffffffffffff"],
  [-1, "20"],
  [-100, "3863"],
  [-1000, "3903e7"],
  [-Number.MAX_SAFE_INTEGER, "3b001ffffffffffffe"],
  [1.1, "fb3ff199999999999a"],
  [-4.1, "fbc010666666666666"],
  [-0, "fb8000000000000000"],
  [Infinity, "fb7ff0000000000000"],
  [NaN, "fb7ff8000000000000"],
  [2 ** 53, "fb4340000000000000"],
  [false, "f4"],
  [true, "f5"],
  [null, "f6"],
  ["", "60"],
  ["IETF", "6449455446"],
  ["ü", "62c3bc"],
  ["水", "63e6b0b4"],
  ["𐅑", "64f0908591"],
  [Uint8Array.of(1, 2, 3, 4), "4401020304"],
  [[], "80"],
  [[1, [2, 3], [4, 5]], "8301820203820405"],
  [new Map(), "a0"],
  [new Map<number, unknown>([[1, 2], [3, 4]]), "a201020304"],
  [new Map<string, unknown>([["a", 1], ["b", [2, 3]]]), "a26161016162820203"],
];

Deno.test("CborWriter writes the examples of RFC 8949", () => {
  for (const [item, expected] of EXAMPLES) {
    assert.equal(hex(encode(item)), expected);
  }
});

Deno.test("CborReader reads the examples of RFC 8949", () => {
  for (const [item, text] of EXAMPLES) {
    assert.deepEqual(decode(Uint8Array.fromHex(text)), item);
  }
});

Deno.test("CborReader reads floats of every size and heads that are not the shortest", () => {
  const cases: [string, unknown][] = [
    ["f90000", 0],
    ["f98000", -0],
    ["f93c00", 1],
    ["f93e00", 1.5],
    ["f97bff", 65504],
    ["f90001", 5.960464477539063e-8],
    ["f90400", 0.00006103515625],
    ["f9c400", -4],
    ["f97c00", Infinity],
    ["f97e00", NaN],
    ["f9fc00", -Infinity],
    ["fa47c35000", 100000],
    ["fa7f7fffff", 3.4028234663852886e+38],
    ["1800", 0],
    ["1b0000000000000001", 1],
    ["5b000000000000000107", Uint8Array.of(7)],
    ["780161", "a"],
    ["9a0000000101", [1]],
    ["b9000101f6", new Map([[1, null]])],
    ["63efbbbf", "\ufeff"],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(decode(Uint8Array.fromHex(text)), expected, text);
  }
});

Deno.test("CborReader refuses everything that frames do not use", () => {
  const cases = [
    "", // nothing
    "0000", // something left over
    "18", // head cut off
    "1b00000000000000",
    "1b0020000000000000", // 2^53
    "3b001fffffffffffff", // -2^53
    "1bffffffffffffffff",
    "1c", // reserved
    "5f4101ff", // indefinite lengths
    "7f6161ff",
    "9f01ff",
    "bf616101ff",
    "ff", // a lone break
    "c000", // tags
    "d81840",
    "f7", // undefined
    "f820", // a simple value
    "e0",
    "fc",
    "f900", // floats cut off
    "f93c",
    "fb00000000000000",
    "4201", // content cut off
    "6261",
    "8201",
    "a101",
    "9a01c9c380", // 30 million elements announced
    "ba01c9c380",
    "5affffffff",
    "7bffffffffffffffff",
    "61ff", // no UTF-8
    "62c328",
    "63eda080", // a surrogate
    "62c080", // overlong
    "a201020103", // a key twice
    "a2616101616102",
    "a1f600", // keys of other kinds
    "a18000",
    "a1410100",
    "a1fb3ff199999999999a00",
    "81".repeat(8) + "80", // nine levels
  ];
  for (const text of cases) {
    assert.throws(() => decode(Uint8Array.fromHex(text)), isBad, text);
  }
});

Deno.test("CborReader takes eight levels and no more", () => {
  assert.doesNotThrow(() => decode(Uint8Array.fromHex("81".repeat(7) + "80")));
  assert.throws(
    () => decode(Uint8Array.fromHex("81".repeat(8) + "80")),
    /at byte 9: more than 8 levels$/,
  );
  // Levels that have ended do not count.
  assert.doesNotThrow(() => decode(encode(new Array(20).fill([[]]))));
});

Deno.test("CborReader names the byte at which it stopped", () => {
  assert.throws(
    () => decodeFrameFields(Uint8Array.fromHex("820161ff")),
    /^MomError: Cannot read CBOR at byte 3: text that is no UTF-8$/,
  );
  assert.throws(
    () => decodeFrameFields(Uint8Array.fromHex("01")),
    /it is no array$/,
  );
});

Deno.test("CborReader gives byte strings as views on its input", () => {
  const bytes = encode([Uint8Array.of(1, 2, 3)]);
  const [item] = decodeFrameFields(bytes);
  assert(item instanceof Uint8Array);
  assert.equal(item.buffer, bytes.buffer);
});

const itemArbitrary = fc.letrec<{ item: unknown }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger(),
    fc.double(),
    fc.string({ unit: "grapheme", maxLength: 80 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("item"), { maxLength: 4 }),
    fc.array(
      fc.tuple(fc.oneof(fc.maxSafeInteger(), fc.string()), tie("item")),
      { maxLength: 4 },
    ).map((entries) => new Map(entries)),
  ),
})).item;

Deno.test("CborReader gives back what CborWriter wrote when items are random", () => {
  fc.assert(fc.property(itemArbitrary, (item) => {
    assert.deepEqual(decode(encode(item)), item);
  }));
});

Deno.test("CborReader refuses every item that is cut short", () => {
  fc.assert(
    fc.property(itemArbitrary, (item) => {
      const bytes = encode(item);
      const step = Math.max(1, bytes.length >> 5);
      for (let end = 0; end < bytes.length; end += step) {
        assert.throws(() => decode(bytes.slice(0, end)), isBad);
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("CborReader throws nothing but bad_message when bytes are random or damaged", () => {
  const damaged = fc.tuple(itemArbitrary, fc.nat(), fc.nat(255)).map(
    ([item, at, byte]) => {
      const bytes = encode(item);
      bytes[at % bytes.length] = byte;
      return bytes;
    },
  );
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged),
      (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          assert(isBad(error), String(error));
        }
      },
    ),
    { numRuns: 3_000 },
  );
});

Deno.test("CborWriter.text() writes the same at every length, ASCII or not", () => {
  for (const character of ["a", "ä", "水", "🚪"]) {
    for (
      const length of [
        1,
        7,
        8,
        12,
        21,
        23,
        24,
        63,
        64,
        65,
        85,
        86,
        255,
        256,
        22_000,
        65_536,
      ]
    ) {
      const text = character.repeat(length);
      const bytes = encode(text);
      const size = new TextEncoder().encode(text).length;
      const head = size < 24 ? 1 : size < 256 ? 2 : size < 65_536 ? 3 : 5;
      assert.equal(bytes.length, head + size);
      assert.equal(decode(bytes), text);
    }
  }
  assert.equal(decode(encode("a\ud800b")), "a\ufffdb");
});

Deno.test("CborWriter keeps what it has when it grows, and its memory when reset", () => {
  const writer = new CborWriter(1);
  for (let i = 0; i < 1_000; i++) writer.uint(i);
  const reader = new CborReader(writer.view());
  for (let i = 0; i < 1_000; i++) assert.equal(reader.readItem(), i);
  const buffer = writer.view().buffer;
  writer.reset();
  assert.equal(writer.length, 0);
  writer.uint(7);
  assert.equal(writer.view().buffer, buffer);
  assert.notEqual(writer.take().buffer, buffer);
  assert.equal(writer.length, 0);
});

Deno.test("CborWriter.patchUint32() fills in what was not known before", () => {
  const writer = new CborWriter();
  writer.rawByte(0x5a);
  writer.rawUint32(0);
  writer.raw(Uint8Array.of(1, 2));
  writer.patchUint32(1, 0xfedcba98);
  assert.equal(hex(writer.view()), "5afedcba980102");
  assert.throws(() => writer.patchUint32(4, 0), RangeError);
  writer.reset(5);
  assert.equal(hex(writer.take()), "5afedcba98");
  assert.throws(() => writer.reset(1), RangeError);
});

Deno.test("CborWriter refuses integers that are none and values of other kinds", () => {
  const writer = new CborWriter();
  for (const wrong of [-1, 1.5, NaN, 2 ** 53]) {
    assert.throws(() => writer.uint(wrong), RangeError);
  }
  for (const wrong of [1.5, Infinity, -(2 ** 53)]) {
    assert.throws(() => writer.int(wrong), RangeError);
  }
  for (const wrong of [undefined, 1n, {}, () => 1, new Date()]) {
    assert.throws(() => writer.item(wrong), TypeError);
  }
});
