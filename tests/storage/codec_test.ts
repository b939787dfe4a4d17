/** What is written is read back, and what is no such thing is refused. */

import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import {
  type ChangeList,
  changeListParts,
  ChangeSet,
  decodeChangeList,
  encodeChangeList,
  readChangeListPart,
} from "../../storage/change_list.ts";
import {
  decodeDirectoryEntry,
  encodeDirectoryEntry,
} from "../../storage/directory_entry.ts";
import {
  ITEM_HEAD_BYTES_MAX,
  ItemReader,
  writeItem,
} from "../../storage/item.ts";
import { VALUE_BYTES_MAX } from "../../storage/layout.ts";
import {
  extraParts,
  readPage,
  readPageHead,
  writePage,
} from "../../storage/pages.ts";
import { isIntact, sealCopy } from "../../storage/sealed_value.ts";
import {
  VARINT_BYTES_MAX,
  VarintReader,
  varintSize,
  writeVarint,
} from "../../storage/varint.ts";
import { pattern } from "./_support.ts";

const uint = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.integer({ min: 0, max: 53 }).chain((bits) =>
    fc.constantFrom(
      ...[-1, 0, 1].map((d) => 2 ** bits + d).filter((n) =>
        Number.isSafeInteger(n) && n >= 0
      ),
    )
  ),
);
const smallBytes = fc.uint8Array({ maxLength: 40 });

Deno.test("varints are read back, and take what varintSize() says", () => {
  fc.assert(fc.property(fc.array(uint), (numbers) => {
    const bytes = new Uint8Array(numbers.length * VARINT_BYTES_MAX);
    let at = 0;
    for (const number of numbers) {
      const next = writeVarint(bytes, at, number);
      assert.equal(next - at, varintSize(number));
      at = next;
    }
    const reader = new VarintReader(bytes, 0, at);
    assert.deepEqual(numbers.map(() => reader.next()), numbers);
    assert.ok(reader.isAtEnd);
  }));
});

Deno.test("VarintReader throws RangeError on bytes that end early or overflow", () => {
  for (
    const bytes of [[], [128], [255, 255], [255, 255, 255, 255, 255], [
      ...Array(9).fill(255),
      1,
    ]]
  ) {
    assert.throws(
      () => new VarintReader(Uint8Array.from(bytes)).next(),
      RangeError,
    );
  }
  const reader = new VarintReader(new Uint8Array(3));
  assert.throws(() => reader.bytes(4), RangeError);
  assert.throws(() => reader.skip(4), RangeError);
});

const KEY = ["p", 3, 257, 1] as const;

Deno.test("isIntact() sees every flipped bit, of the key too", () => {
  const sealed = sealCopy(pattern(50, 1), KEY);
  assert.ok(isIntact(sealed, KEY));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const bad = sealed.slice();
    bad[bit >> 3] ^= 1 << (bit & 7);
    assert.ok(!isIntact(bad, KEY), `bit ${bit}`);
  }
  assert.ok(!isIntact(sealed.subarray(0, 20), KEY));
  for (const part of [1, 2, 3]) {
    for (let bit = 0; bit < 32; bit++) {
      const key: (string | number)[] = [...KEY];
      key[part] = (Number(key[part]) ^ (1 << bit)) >>> 0;
      assert.ok(!isIntact(sealed, key), `key ${key}`);
    }
  }
  assert.ok(!isIntact(sealed, ["b", ...KEY.slice(1)]));
  assert.ok(!isIntact(null, KEY));
  assert.ok(!isIntact(new Uint8Array(3), KEY));
});

const item = fc.record({
  log: uint,
  base: uint,
  count: uint,
  meta: smallBytes,
  body: fc.oneof(smallBytes, fc.record({ id: uint, bytes: uint })),
});

Deno.test("items are read back, with position and time shared by a commit", () => {
  const commits = fc.array(
    fc.record({ position: uint, time: uint, items: fc.array(item) }),
  );
  fc.assert(fc.property(commits, (list) => {
    const all = list.flatMap(({ position, time, items }) =>
      items.map((one, i) => ({ ...one, position, time, isFirst: i === 0 }))
    );
    const bytes = new Uint8Array(all.length * (ITEM_HEAD_BYTES_MAX + 80));
    let at = 0;
    for (const { isFirst, meta, body, ...head } of all) {
      const next = writeItem(bytes, at, head, isFirst, meta, body);
      assert.ok(next - at <= ITEM_HEAD_BYTES_MAX + 80);
      at = next;
    }
    const reader = new ItemReader(bytes, 0, at);
    for (const wanted of all) {
      assert.ok(reader.next());
      const { body, isFirst: _, ...rest } = wanted;
      const found = reader.item();
      const isBlob = !(body instanceof Uint8Array);
      assert.deepEqual({ ...found, meta: Uint8Array.from(found.meta) }, {
        ...rest,
        body: isBlob ? new Uint8Array(0) : body,
        blob: isBlob ? body.id : null,
        bodyBytes: isBlob ? body.bytes : body.length,
      });
    }
    assert.equal(reader.next(), false);
  }));
});

Deno.test("ItemReader throws nothing but RangeError on any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    const reader = new ItemReader(bytes, 0, bytes.length);
    try {
      for (let i = 0; i < 1000 && reader.next(); i++) reader.item();
    } catch (error) {
      assert.ok(error instanceof RangeError);
    }
  }));
});

const change = fc.record({
  table: fc.integer({ min: 1, max: 40 }),
  key: uint,
  value: fc.option(smallBytes),
});

function flat({ changes }: Pick<ChangeList, "changes">): unknown[] {
  return [...changes.tables].flatMap(([table, entries]) =>
    [...entries].map(([key, value]) => [table, key, value && [...value]])
  );
}

Deno.test("change lists are read back; the last change of a key counts", () => {
  fc.assert(fc.property(fc.array(change), uint, (list, position) => {
    const changes = new ChangeSet();
    for (const { table, key, value } of list) changes.set(table, key, value);
    const counters = { time: 1, nextLog: 2, nextSeq: 3, nextBlob: 4 };
    const bytes = encodeChangeList(position, counters, changes);
    const found = decodeChangeList(bytes);
    assert.equal(found.position, position);
    assert.deepEqual(found.counters, counters);
    assert.deepEqual(flat(found), flat({ changes }));
    for (const { table, key } of list) {
      const last = list.findLast((c) => c.table === table && c.key === key);
      const kept = found.changes.tables.get(table)?.get(key);
      assert.deepEqual(kept && [...kept], last?.value && [...last.value]);
    }
  }));
});

Deno.test("changeListParts() cuts a list into values that fit", () => {
  for (const size of [0, 1, 61_000, 62_000, 300_000]) {
    const list = pattern(size, 1);
    const parts = changeListParts(5000, list).map(({ key, value }, part) => {
      assert.ok(value instanceof Uint8Array && isIntact(value, key));
      assert.ok(value.length <= VALUE_BYTES_MAX);
      assert.deepEqual(key, ["c", 5000 % 1024, part]);
      return readChangeListPart(value, part);
    });
    assert.equal(parts[0].parts, parts.length);
    assert.ok(parts.every((part) => part.position === 5000));
    assert.deepEqual(parts.flatMap((p) => [...p.content]), [...list]);
  }
});

Deno.test("directory entries are read back", () => {
  const range = fc.record({
    log: uint,
    base: fc.nat(),
    count: fc.nat(),
    bytes: uint,
    time: uint,
  });
  fc.assert(fc.property(uint, fc.array(range), (length, list) => {
    const ranges = list.map(({ count, ...rest }) => ({
      ...rest,
      end: rest.base + count,
    }));
    assert.deepEqual(
      decodeDirectoryEntry(encodeDirectoryEntry(length, ranges)),
      { length, ranges },
    );
  }));
});

Deno.test("pages of any size are written and read back, whatever was there before", () => {
  const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(40_000)), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(fc.array(sizes, { maxLength: 4 }), (versions) => {
      const stored = new Map<string, unknown>();
      const id = { table: 3, page: 7 };
      const get = (part: number) => stored.get(`p,3,7,${part}`);
      for (const version of versions) {
        const entries = new Map(
          version.map((size, i) => [7 * 256 + i, pattern(size, i)]),
        );
        const before = readPageHead(id, get(0));
        for (const unit of writePage(id, before, entries)) {
          for (const { key, value } of unit) {
            if (value === null) stored.delete(key.join());
            else stored.set(key.join(), value);
          }
        }
        const head = readPageHead(id, get(0));
        const extras = head === null ? [] : extraParts(head).map(get);
        assert.deepEqual(
          [...readPage(id, head, extras)].map(([k, v]) => [k, v.length]),
          [...entries].map(([k, v]) => [k, v.length]),
        );
        assert.equal(stored.size, head === null ? 0 : 1 + extras.length);
      }
    }),
    { numRuns: 50 },
  );
});
