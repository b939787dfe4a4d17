import assert from "node:assert/strict";
import { toSnapshot } from "../../coordinator/core/snapshot.ts";
import { depthOf, isEqual, sizeOf } from "../../coordinator/core/value.ts";
import { COORDINATOR_LIMITS } from "../../coordinator/limits.ts";
import { utf8Bytes } from "../../coordinator/records.ts";
import { fc } from "../../deps/fast_check.ts";
import { CborWriter } from "../../protocol/cbor_writer.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { writeValue } from "../../protocol/values.ts";
import { idOf, inShort, Shard } from "./_shard.ts";

function encodedBytes(value: unknown): number {
  const writer = new CborWriter(1024);
  writeValue(writer, value, LIMITS.messageBytes);
  return writer.length;
}

const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, undefined, true, 0, -0, 1.5, 2 ** 40, 7n),
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.date({ noInvalidDate: true }),
    fc.array(tie("value"), { maxLength: 6 }),
    fc.dictionary(fc.string({ maxLength: 8 }), tie("value"), { maxKeys: 6 }),
  ),
})).value;

Deno.test("sizeOf() is never less than what is sent", () => {
  fc.assert(fc.property(value, (each) => {
    assert(sizeOf(each) >= encodedBytes(each), String(sizeOf(each)));
  }));
});

Deno.test("isEqual() compares by kind and content", () => {
  fc.assert(fc.property(value, (each) => {
    assert(isEqual(each, structuredClone(each)));
    assert(!isEqual([each], each));
    assert(!isEqual({ each }, [each]));
  }));
  const different = [
    [0, -0],
    [1, 1n],
    [null, undefined],
    [{ a: undefined }, {}],
    ["1", 1],
    [new Date(1), 1],
    [new Uint8Array([1]), [1]],
    [{ a: 1 }, { b: 1 }],
    [[1, 2], [2, 1]],
  ];
  for (const [one, other] of different) assert(!isEqual(one, other));
  assert(isEqual({ a: 1, b: [NaN] }, { b: [NaN], a: 1 }));
});

Deno.test("depthOf() and utf8Bytes() measure", () => {
  assert.deepEqual([1, [], [[1]], { a: [{}] }, new Date(0)].map(depthOf), [
    0,
    1,
    2,
    3,
    0,
  ]);
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    assert.equal(utf8Bytes(text), new TextEncoder().encode(text).length);
  }));
});

Deno.test("a shard's state never outgrows one message: it refuses with storage_full", () => {
  const shard = new Shard();
  shard.hello("a", "b");
  const { valueBytes } = COORDINATOR_LIMITS;
  const large = "x".repeat(valueBytes - 100);
  const codes = Array.from({ length: 8 }, (_, i) => {
    const init = { op: "value_init", name: `v${i}`, value: large };
    return inShort(shard.ask("a", init))[0]!.replace(/^a#\d+ /, "");
  });
  assert.equal(codes[0], "done null");
  assert.equal(codes.at(-1), "failed storage_full");
  const tooLarge = { op: "value_init", name: "w", value: large + large };
  assert.match(inShort(shard.ask("a", tooLarge))[0]!, /message_too_large/);
  // Small things until nothing fits any more.
  let full = 0;
  for (let i = 0; i < 40_000 && full === 0; i++) {
    const init = { op: "semaphore_init", name: `s${i}`, value: 0 };
    if (/storage_full/.test(inShort(shard.ask("a", init))[0]!)) full = i;
  }
  assert(full > 0);
  const bytes = encodedBytes(toSnapshot(shard.state));
  assert(bytes <= shard.state.bytes + 1_000, `${bytes}`);
  assert(bytes < LIMITS.messageBytes);
  // What takes nothing more still goes on, and room comes back.
  assert.deepEqual(
    inShort(shard.ask("b", { op: "value_destroy", name: "v0" })),
    [
      "b#2 done null",
    ],
  );
  const again = { op: "semaphore_init", name: "again", value: 0 };
  assert.deepEqual(inShort(shard.ask("b", again)), ["b#3 done null"]);
});

Deno.test("a crowd of waiters and holders is counted as large as it is", () => {
  const shard = new Shard();
  const clients = Array.from({ length: 50 }, (_, i) => `${i}`);
  shard.hello(...clients);
  assert.equal(idOf("1").length, 32);
  const [first] = clients;
  const init = { op: "semaphore_init", name: "s", value: 300 };
  shard.ask(first!, init);
  for (const client of clients) {
    const open = Array.from({ length: 20 }, (_, i) => i + 10);
    for (const request of open) {
      const wait = { op: "semaphore_wait", name: "s" };
      shard.put({ ...shard.record(client, request, wait), open, upTo: 29 });
    }
  }
  const bytes = encodedBytes(toSnapshot(shard.state));
  assert(bytes <= shard.state.bytes + 1_000, `${bytes} ${shard.state.bytes}`);
});
