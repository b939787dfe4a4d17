import assert from "node:assert/strict";
import { FilterIndex } from "../../broker/core/filter_index.ts";
import { fc } from "../../deps/fast_check.ts";
import { matches } from "../../protocol/topics.ts";

const level = fc.constantFrom("a", "b", "", "$x");
const topic = fc.array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join("/")).filter((text) => text !== "");
const filter = fc.tuple(
  fc.array(fc.oneof(level, fc.constant("+")), { minLength: 0, maxLength: 4 }),
  fc.boolean(),
).map(([levels, isDeep]) => [...levels, ...isDeep ? ["#"] : []].join("/"))
  .filter((text) => text !== "");

Deno.test("FilterIndex finds exactly the filters that match", () => {
  fc.assert(
    fc.property(
      fc.array(filter, { maxLength: 20 }),
      fc.array(fc.nat(19), { maxLength: 10 }),
      fc.array(topic, { minLength: 1, maxLength: 10 }),
      (filters, ended, topics) => {
        const index = new FilterIndex<{ filter: string }>();
        const all = new Set(filters.map((filter) => ({ filter })));
        for (const each of all) index.add(each);
        for (const n of ended) {
          const gone = [...all][n];
          if (gone === undefined) continue;
          const before = index.version;
          index.delete(gone);
          all.delete(gone);
          assert.notEqual(index.version, before);
        }
        for (const each of topics) {
          const found = index.match(each);
          assert.equal(new Set(found).size, found.length, "found twice");
          const expected = [...all].filter(({ filter }) =>
            matches(filter, each)
          );
          assert.deepEqual(new Set(found), new Set(expected), each);
        }
      },
    ),
  );
});
