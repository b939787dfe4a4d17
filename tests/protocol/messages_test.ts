import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import * as v from "../../deps/valibot.ts";
import { messageKinds } from "../../protocol/messages.ts";

const numbers = fc.oneof(
  fc.constantFrom(0, -0, 1, 2, -1, 0.5, NaN, Infinity, 2 ** 53, 2 ** 53 - 1),
  fc.integer(),
  fc.double(),
);
const values = fc.oneof(
  numbers,
  fc.constantFrom(null, undefined, true, false, "", "now", "app"),
  fc.string(),
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  fc.array(numbers, { maxLength: 9 }),
  fc.array(fc.nat(), { minLength: 4, maxLength: 8 }),
  fc.anything(),
);

Deno.test("what the quick look lets pass, the schema takes as it is", () => {
  let looked = 0;
  let passed = 0;
  fc.assert(
    fc.property(values, (value) => {
      for (const { name, fields, quick } of messageKinds()) {
        for (const [i, [field, schema]] of fields.entries()) {
          looked++;
          if (quick[i]?.(value) !== true) continue;
          passed++;
          const result = v.safeParse(schema, value);
          assert.ok(result.success, `${name}.${field} takes ${String(value)}`);
          assert.deepEqual(result.output, value);
        }
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(passed > looked / 100, `${passed} of ${looked} passed`);
});

Deno.test("every field of the hot messages has a quick look", () => {
  const hot = ["PUBLISH", "RECEIPT", "DELIVER", "ACK", "CONFIRM", "CREDIT"];
  for (const { name, quick } of messageKinds()) {
    if (hot.includes(name)) assert.ok(!quick.includes(undefined), name);
  }
});
