import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { FaultyKv } from "./_faulty_kv.ts";
import {
  bytes,
  NOTHING,
  openStore,
  pattern,
  tempFolder,
  withDatabase,
} from "./_support.ts";

/** Flips a bit of a stored value, or deletes it. */
async function damage(
  folder: string,
  key: Deno.KvKey,
  at: number | "delete",
): Promise<void> {
  await withDatabase(folder, async (kv) => {
    if (at === "delete") return await kv.delete(key);
    const { value } = await kv.get<Uint8Array>(key);
    assert.ok(value !== null, `no value at ${key}`);
    value[at] ^= 0x10;
    await kv.set(key, value);
  });
}

/** Two logs over some journal values. */
async function fill(folder: string): Promise<[number, number]> {
  const store = await openStore(folder);
  const a = store.createLog();
  const b = store.createLog();
  for (let i = 0; i < 100; i++) {
    store.append(a, 2, NOTHING, pattern(2000, i));
    if (i % 2 === 0) store.append(b, 1, NOTHING, pattern(500, i));
  }
  await store.close();
  return [a, b];
}

for (const at of [0, 4, 5, 30_000, "delete"] as const) {
  Deno.test(`a journal value damaged at ${at} costs its offsets, the rest goes on`, async () => {
    await using folder = await tempFolder();
    const [a, b] = await fill(folder.path);
    await damage(folder.path, ["j", 2], at);
    const store = await openStore(folder.path);
    const results = await store.readInOrder(
      [{ log: a, next: 0 }, { log: b, next: 0 }],
      10_000_000,
    );
    const damaged = results.filter((result) => "damaged" in result);
    assert.deepEqual(damaged.map((r) => r.log), [a, b]);
    for (const log of [a, b]) {
      let next = 0;
      for (const result of results) {
        if (result.log !== log) continue;
        assert.equal(result.base, next, `a gap in log ${log}`);
        next += result.count;
      }
      assert.equal(next, store.end(log));
    }
    const lost = damaged.reduce((sum, r) => sum + r.count, 0);
    assert.ok(lost > 20 && lost < 100, `${lost} offsets`);
    // Asked again, it is told again.
    const [first] = damaged;
    const [told] = await store.readInOrder(
      [{ log: a, next: first.base + 1 }],
      1,
    );
    assert.deepEqual(told, {
      log: a,
      base: first.base + 1,
      count: first.count - 1,
      damaged: true,
    });
    // A time that falls into it is answered all the same.
    assert.equal(await store.offsetAtTime(a, 0), 0);
    await store.close();
  });
}

Deno.test("damaged offsets below a log's begin are not told", async () => {
  await using folder = await tempFolder();
  const [a] = await fill(folder.path);
  await damage(folder.path, ["j", 1], 100);
  const store = await openStore(folder.path);
  const [told] = await store.readInOrder([{ log: a, next: 0 }], 1);
  assert.ok("damaged" in told);
  store.trim(a, told.count);
  const [after] = await store.readInOrder([{ log: a, next: 0 }], 1);
  assert.ok(!("damaged" in after));
  assert.equal(after.base, told.count);
  await store.close();
});

Deno.test("open() refuses a damaged change list or page", async () => {
  for (const at of [0, 7, 12]) {
    await using folder = await tempFolder();
    const store = await openStore(folder.path);
    store.put(1, 1, bytes("one"));
    await store.committed();
    store.put(1, 2, bytes("two"));
    await store.close();
    await damage(folder.path, ["c", 1, 0], at);
    await assert.rejects(openStore(folder.path), { code: "data_damaged" });
  }
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  for (let i = 0; i < 300; i++) {
    store.put(1, i, bytes("x"));
    await store.committed();
  }
  await store.close();
  await damage(folder.path, ["p", 1, 0, 0], 20);
  await assert.rejects(openStore(folder.path), { code: "data_damaged" });
});

Deno.test("open() refuses a store whose change list is missing", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  for (let i = 0; i < 4; i++) {
    store.put(1, i, bytes("x"));
    await store.committed();
  }
  await store.close();
  await damage(folder.path, ["c", 2, 0], "delete");
  await assert.rejects(openStore(folder.path), { code: "data_damaged" });
});

Deno.test("what is committed while older values are read from the disk is not taken for damaged", async () => {
  await using folder = await tempFolder();
  const slow = new FaultyKv(Infinity);
  const store = await openStore(folder.path, {
    limits: { cacheBytes: 0 },
    openKv: (path) => slow.open(path),
  });
  const log = store.createLog();
  for (let i = 0; i < 3; i++) {
    store.append(log, 1, NOTHING, pattern(50_000, i));
    await store.committed();
  }
  store.append(log, 1, NOTHING, bytes("the tail"));
  await store.committed();
  // The tail is in memory, what lies before it comes from the disk.
  slow.onRead = async () => {
    slow.onRead = () => Promise.resolve();
    store.append(log, 1, NOTHING, bytes("meanwhile"));
    await store.committed();
  };
  const seen: number[] = [];
  for (let reads = 0, next = 0; next < 5; reads++) {
    assert.ok(reads < 5, `${reads} reads gave ${seen}`);
    for (const result of await store.readInOrder([{ log, next }], 1_000_000)) {
      assert.ok(!("damaged" in result), `damaged at ${result.base}`);
      seen.push(result.base);
      next = result.base + result.count;
    }
  }
  assert.deepEqual(seen, [0, 1, 2, 3, 4]);
  await store.close();
});

Deno.test("a row that the database cannot read is one damaged value", async () => {
  await using folder = await tempFolder();
  const [a, b] = await fill(folder.path);
  const database = new DatabaseSync(`${folder.path}/store.kv`);
  // The second journal value.
  const keys = "SELECT k FROM kv WHERE hex(k) LIKE '026A00%' ORDER BY k";
  const { changes } = database.prepare(
    `UPDATE kv SET v_encoding = 99 WHERE k = (${keys} LIMIT 1 OFFSET 1)`,
  ).run();
  database.close();
  assert.equal(Number(changes), 1);
  const store = await openStore(folder.path);
  const results = await store.readInOrder(
    [{ log: a, next: 0 }, { log: b, next: 0 }],
    10_000_000,
  );
  const damaged = results.filter((result) => "damaged" in result);
  assert.deepEqual(damaged.map((r) => r.log), [a, b]);
  await store.close();
});

/** As if bits of a key had flipped: the value lies somewhere else. */
async function move(
  folder: string,
  from: Deno.KvKey,
  to: Deno.KvKey,
): Promise<void> {
  await withDatabase(folder, async (kv) => {
    const { value } = await kv.get(from);
    assert.ok(value !== null, `no value at ${from}`);
    await kv.delete(from);
    await kv.set(to, value);
  });
}

Deno.test("open() refuses a page that lies where another one should, or a part of none", async () => {
  // Where its entries could be, too: as another part, and in another table.
  for (const to of [["p", 1, 0, 2], ["p", 2, 0, 0], ["p", 1, 1, 0]]) {
    await using folder = await tempFolder();
    const store = await openStore(folder.path);
    for (let i = 0; i < 300; i++) {
      store.put(1, i, bytes("x"));
      await store.committed();
    }
    await store.close();
    await move(folder.path, ["p", 1, 0, 0], to);
    await assert.rejects(
      openStore(folder.path),
      { code: "data_damaged" },
      `${to}`,
    );
  }
});

Deno.test("a journal value that lies where another one should is no message of either", async () => {
  await using folder = await tempFolder();
  const [a] = await fill(folder.path);
  await move(folder.path, ["j", 3], ["j", 2]);
  const store = await openStore(folder.path);
  const results = await store.readInOrder([{ log: a, next: 0 }], 10_000_000);
  const damaged = results.filter((result) => "damaged" in result);
  assert.equal(damaged.length, 2);
  await store.close();
});
