import assert from "node:assert/strict";
import { readAscii } from "../../protocol/ascii.ts";

Deno.test("readAscii() gives the text of ASCII bytes at every length that is not long", () => {
  const bytes = Uint8Array.from({ length: 4_200 }, (_, i) => i % 128);
  for (const length of [0, 1, 2, 3, 4, 5, 23, 24, 25, 100, 4_095]) {
    const expected = String.fromCharCode(...bytes.subarray(3, 3 + length));
    assert.equal(readAscii(bytes, 3, 3 + length), expected);
    // Also when the array is a view on larger memory.
    assert.equal(readAscii(bytes.subarray(3), 0, length), expected);
  }
});

Deno.test("readAscii() leaves long text and other characters to a decoder", () => {
  const bytes = new Uint8Array(5_000).fill(0x61);
  assert.equal(readAscii(bytes, 0, 4_096), null);
  for (const length of [1, 10, 24, 100]) {
    for (const at of [0, length - 1]) {
      const piece = bytes.slice(0, length);
      piece[at] = 0x80;
      assert.equal(readAscii(piece, 0, length), null);
    }
  }
});
