/** The place of an item in its bundle, as bytes, and what was appended together. */

import assert from "node:assert/strict";
import {
  bundleEnd,
  splitPlace,
  tornFrom,
  withPlace,
} from "../../storage/bundle_place.ts";

/** A CBOR array of one number. */
const META = Uint8Array.of(0x81, 7);

/** What reading gives of an item: by bundle and how many follow it, or alone. */
function item(position: number, bundle?: number, left = 0) {
  const ranks = Uint16Array.of(left);
  const meta = bundle === undefined
    ? META
    : withPlace(META, { bundle, left, ranks });
  return { position, meta };
}
const damaged = { damaged: true } as const;

Deno.test("splitPlace() is the inverse of withPlace()", () => {
  const lists = [
    [0],
    [57_343],
    [3, 4, 5],
    [0, 127, 255, 384, 16_767, 16_768],
    Array.from({ length: 6_000 }, (_, n) => n * 9),
  ];
  for (const list of lists) {
    for (const [bundle, left] of [[1, 0], [127, 63], [2 ** 40, 200]]) {
      const place = { bundle, left, ranks: Uint16Array.from(list) };
      const bytes = withPlace(META, place);
      assert.deepEqual(splitPlace(bytes), { place, meta: META });
    }
  }
});

Deno.test("splitPlace() leaves a meta without a place as it is", () => {
  assert.deepEqual(splitPlace(META), { place: null, meta: META });
});

Deno.test("splitPlace() throws for a place that is cut off", () => {
  const ranks = Uint16Array.of(1, 300);
  const bytes = withPlace(META, { bundle: 300, left: 2, ranks });
  for (let length = 1; length < bytes.length - META.length; length++) {
    assert.throws(() => splitPlace(bytes.subarray(0, length)), RangeError);
  }
});

Deno.test("bundleEnd() tells what was appended together, and nothing else", () => {
  const results = [
    item(4),
    item(4, 1, 2),
    item(4, 1, 0),
    item(4, 2, 1),
    damaged,
    item(4, 2, 0),
    item(5, 2, 1),
    item(5, 2, 0),
    item(5),
  ];
  const ends = results.map((_, index) => bundleEnd(results, index));
  assert.deepEqual(ends, [1, 3, 3, 4, 5, 6, 8, 8, 9]);
});

Deno.test("tornFrom() tells where a bundle begins of which there may be more", () => {
  const begun = [item(4, 1, 3), item(4, 1, 1)];
  assert.equal(tornFrom([]), 0);
  assert.equal(tornFrom([item(3), item(4)]), 2);
  assert.equal(tornFrom([item(3), ...begun]), 1);
  assert.equal(tornFrom(begun), 0);
  assert.equal(tornFrom([item(3), ...begun, item(4, 1, 0)]), 4);
  assert.equal(tornFrom([item(4, 2, 1), ...begun]), 1);
  assert.equal(tornFrom([item(3, 1, 1), ...begun]), 1);
  assert.equal(tornFrom([...begun, damaged]), 3);
});
