import assert from "node:assert/strict";
import {
  ATTRIBUTE,
  type Attributes,
  checkAttributes,
  decodeAttributes,
  encodeAttributes,
  kept,
  remainingMs,
  sameAttributes,
  wantedEpoch,
  withRemaining,
} from "../../protocol/attributes.ts";
import { MomError } from "../../protocol/errors.ts";

const hasCode = (code: string) => (error: unknown) =>
  error instanceof MomError && error.code === code;
const map = (entries: [number, unknown][]): Attributes => new Map(entries);

Deno.test("checkAttributes() takes none, expires, epoch and unknown odd numbers", () => {
  checkAttributes(null);
  checkAttributes(map([[ATTRIBUTE.epoch, 2 ** 32 - 1]]));
  checkAttributes(map([[ATTRIBUTE.expires, 0]]));
  checkAttributes(map([[3, "key"], [5, new Uint8Array(8)], [1001, [1, null]]]));
});

Deno.test("checkAttributes() refuses even numbers with unsupported", () => {
  for (const key of [0, 2, 4, 6, 8, 12, 1000]) {
    assert.throws(
      () => checkAttributes(map([[key, 1]])),
      hasCode("unsupported"),
    );
  }
});

Deno.test("checkAttributes() refuses what makes no sense with bad_message", () => {
  const wrong = [
    map([[1, -1]]),
    map([[1, 1.5]]),
    map([[1, "5"]]),
    map([[1, null]]),
    map([[10, -1]]),
    map([[10, "1"]]),
    map([[-1, 1]]),
    new Map([["expires", 1]]) as unknown as Attributes,
    map([[3, "x".repeat(5_000)]]),
  ];
  for (const attributes of wrong) {
    assert.throws(() => checkAttributes(attributes), hasCode("bad_message"));
  }
});

Deno.test("withRemaining() replaces expires and leaves the given map alone", () => {
  const given = map([[1, 1_000], [3, "key"]]);
  const sent = withRemaining(given, 250.7);
  assert.equal(remainingMs(sent), 250);
  assert.equal(sent?.get(3), "key");
  assert.equal(remainingMs(given), 1_000);
  assert.equal(remainingMs(withRemaining(given, -5)), 0);
  assert.equal(remainingMs(null), null);
  assert.equal(withRemaining(map([[1, 5]]), null), null);
  assert.deepEqual(withRemaining(null, 7), map([[1, 7]]));
});

Deno.test("kept() leaves off what was for one hop or one store", () => {
  const given = map([[1, 1_000], [3, "key"], [10, 7]]);
  assert.deepEqual(kept(given), map([[3, "key"]]));
  assert.equal(wantedEpoch(given), 7);
  assert.equal(kept(map([[1, 5], [10, 7]])), null);
  assert.equal(kept(null), null);
  assert.equal(wantedEpoch(null), null);
});

Deno.test("decodeAttributes() gives back what encodeAttributes() took", () => {
  const given = map([[1, 5], [3, "key"], [7, Uint8Array.of(1, 2)]]);
  const bytes = encodeAttributes(given);
  assert(bytes !== null);
  const back = decodeAttributes(bytes);
  bytes.fill(0);
  assert.deepEqual(back, given);
  assert.equal(encodeAttributes(null), null);
  assert.equal(encodeAttributes(new Map()), null);
  assert.equal(decodeAttributes(null), null);
  assert.throws(
    () => decodeAttributes(Uint8Array.of(0x80)),
    hasCode("bad_message"),
  );
  assert.throws(
    () => decodeAttributes(Uint8Array.of(0xa1, 0x61, 0x61, 0)),
    hasCode("bad_message"),
  );
});

Deno.test("sameAttributes() compares by content", () => {
  assert(sameAttributes(null, null));
  assert(sameAttributes(null, new Map()));
  assert(sameAttributes(map([[1, 5]]), map([[1, 5]])));
  assert(!sameAttributes(map([[1, 5]]), map([[1, 6]])));
  assert(!sameAttributes(map([[1, 5]]), null));
});
