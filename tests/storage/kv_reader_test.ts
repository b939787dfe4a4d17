/**
 * `KvReader.getMany()`: as ranges or one by one, it gives what is there.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { KvReader } from "../../storage/kv_reader.ts";

const number = fc.nat(40);
const key: fc.Arbitrary<Deno.KvKey> = fc.oneof(
  number.map((n) => ["j", n]),
  fc.tuple(fc.nat(2), number).map(([blob, n]) => ["b", blob, n]),
  fc.constant(["o"]),
);
/** Runs of keys, and single ones, in any order. */
const keys = fc.array(fc.oneof(
  key.map((one) => [one]),
  fc.tuple(fc.constantFrom("j", "k"), number, fc.nat(30)).map((
    [prefix, first, count],
  ) => Array.from({ length: count }, (_, i) => [prefix, first + i])),
)).map((groups) => groups.flat() as Deno.KvKey[]);

Deno.test("getMany() gives the value of each key, in their order, null where there is none", async () => {
  using kv = await Deno.openKv(":memory:");
  for (let n = 0; n < 60; n += n % 7 === 3 ? 2 : 1) {
    await kv.set(["j", n], `j ${n}`);
    await kv.set(["b", n % 3, n], `b ${n}`);
  }
  await kv.set(["o"], "o");
  const reader = new KvReader(kv);
  await fc.assert(fc.asyncProperty(keys, async (wanted) => {
    const expected = [];
    for (const one of wanted) expected.push((await kv.get(one)).value);
    assert.deepEqual(await reader.getMany(wanted), expected);
  }));
  await reader.close();
});

Deno.test("getMany() reads what lies together in one go", async () => {
  using kv = await Deno.openKv(":memory:");
  const reads: string[] = [];
  const counting = new Proxy(kv, {
    get: (target, name) => {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      reads.push(String(name));
      return value.bind(target);
    },
  });
  const reader = new KvReader(counting);
  await reader.getMany(Array.from({ length: 18 }, (_, n) => ["j", n]));
  assert.deepEqual(reads, ["list"]);
  await reader.close();
});
