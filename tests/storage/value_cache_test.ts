import assert from "node:assert/strict";
import { ValueCache } from "../../storage/value_cache.ts";

Deno.test("ValueCache drops what was used longest ago when it is full", () => {
  const cache = new ValueCache(100);
  for (const key of [1, 2, 3, 4]) cache.set(key, new Uint8Array(25));
  assert.ok(cache.get(1));
  cache.set("five", new Uint8Array(40));
  assert.equal(cache.get(2), undefined);
  assert.equal(cache.get(3), undefined);
  assert.ok(cache.get(1) && cache.get(4) && cache.get("five"));
  assert.equal(cache.bytes, 90);
  cache.set(4, new Uint8Array(10));
  assert.equal(cache.bytes, 75);
  cache.set(6, new Uint8Array(101));
  assert.equal(cache.bytes, 0);
});
