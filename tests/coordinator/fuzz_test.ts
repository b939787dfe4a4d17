import assert from "node:assert/strict";
import { toSnapshot } from "../../coordinator/core/snapshot.ts";
import { readReply, toWireReply } from "../../coordinator/replies.ts";
import { readSnapshot } from "../../coordinator/core/snapshot.ts";
import { fc } from "../../deps/fast_check.ts";
import { idOf, Shard } from "./_shard.ts";

const OPS = [
  "hello",
  "leave",
  "semaphore_init",
  "semaphore_wait",
  "semaphore_signal",
  "semaphore_release",
  "semaphore_cancel",
  "semaphore_destroy",
  "value_init",
  "value_read",
  "value_write",
  "value_compare_and_set",
  "value_destroy",
];
const KINDS = [
  "request",
  "renew",
  "lease",
  "takeover",
  "expire",
  "join",
  "want",
  "toString",
];
const FIELDS = [
  "v",
  "kind",
  "client",
  "session",
  "request",
  "deadline",
  "upTo",
  "open",
  "op",
  "name",
  "value",
  "expected",
  "token",
  "target",
  "consume",
  "leaseMs",
  "coordinator",
  "incarnation",
  "answered",
  "renewal",
  "seen",
];

/** Anything that a message can carry. */
const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withTypedArray: false,
  withNullPrototype: true,
  maxDepth: 4,
});
const rightish = fc.record({
  v: fc.constantFrom(1, 1, 1, 2, "1"),
  kind: fc.constantFrom(...KINDS),
  client: fc.constantFrom(idOf("a"), idOf("b"), "x"),
  session: fc.integer({ min: -1, max: 3 }),
  request: fc.integer({ min: -1, max: 40 }),
  upTo: fc.integer({ min: 0, max: 40 }),
  open: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 }),
  op: fc.constantFrom(...OPS),
  name: fc.constantFrom("s", "t", "", "\u{1f600}", "ß"),
  value: fc.constantFrom(0, 1, -1, NaN, "x", null, undefined),
  expected: fc.constantFrom(0, null),
  token: fc.integer({ min: -1, max: 9 }),
  target: fc.integer({ min: -1, max: 40 }),
  leaseMs: fc.constantFrom(1_000, 1, Infinity),
  coordinator: fc.integer({ min: 0, max: 3 }),
  incarnation: fc.constantFrom("i", ""),
  answered: fc.integer({ min: -2, max: 50 }),
  renewal: fc.option(fc.integer({ min: 0, max: 50 })),
  seen: fc.integer({ min: 0, max: 50 }),
}, { requiredKeys: ["v", "kind"] });
/** One that fits, with some fields replaced by anything. */
const damaged = fc.tuple(
  rightish,
  fc.dictionary(fc.constantFrom(...FIELDS), anything, { maxKeys: 3 }),
).map(([record, damage]) => ({ ...record, ...damage }));

const record = fc.oneof(rightish, damaged, anything);

Deno.test("[O-23] step() survives any record, and stays what a snapshot can hold", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40, size: "max" }), (records) => {
      const shard = new Shard();
      shard.hello("a");
      for (const each of records) {
        for (const reply of shard.put(each)) {
          assert(readReply(toWireReply(1, reply)) !== null);
        }
      }
      const snapshot = toSnapshot(shard.state);
      assert.deepEqual(readSnapshot(structuredClone(snapshot)), snapshot);
      const { semaphores, sessions } = shard.state;
      for (const { value, waiters } of semaphores.values()) {
        assert(value === 0 || waiters.length === 0, "nobody waits in vain");
      }
      for (const { waits, permits } of sessions.values()) {
        for (const name of waits.values()) assert(semaphores.has(name));
        for (const { name } of permits.values()) assert(semaphores.has(name));
      }
      // Whoever asks properly is served all the same.
      const init = { op: "semaphore_init", name: "new", value: 1 };
      const hello = { op: "hello", leaseMs: 1_000 };
      shard.put({ ...shard.record("z", 1, hello), session: 9 });
      const [reply] = shard.put({
        ...shard.record("z", 2, init),
        session: 9,
      });
      assert.equal(reply?.outcome.outcome, "done");
    }),
    { numRuns: 600 },
  );
});

Deno.test("readSnapshot() and readReply() survive anything", () => {
  fc.assert(
    fc.property(anything, (value) => {
      readSnapshot(value);
      readReply(value);
    }),
    { numRuns: 2_000 },
  );
});
