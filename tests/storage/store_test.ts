import assert from "node:assert/strict";
import { MomError } from "../../protocol/errors.ts";
import { ITEM_BYTES_MAX, type ReadResult } from "../../storage/store.ts";
import {
  bytes,
  NOTHING,
  openStore,
  pattern,
  readAll,
  tempFolder,
  TestClock,
  text,
} from "./_support.ts";

Deno.test("append() is read back in order over several logs", async () => {
  const store = await openStore(":memory:");
  const a = store.createLog();
  const b = store.createLog();
  assert.equal(store.append(a, 2, bytes("m1"), bytes("one")), 0);
  assert.equal(store.append(b, 1, NOTHING, bytes("two")), 0);
  assert.equal(store.append(a, 3, bytes("m3"), bytes("three")), 2);
  await store.committed();
  const items = await readAll(store, [a, b]);
  assert.deepEqual(
    items.map((i) => [i.log, i.base, i.count, text(i.meta), text(i.body)]),
    [[a, 0, 2, "m1", "one"], [b, 0, 1, "", "two"], [a, 2, 3, "m3", "three"]],
  );
  assert.equal(store.end(a), 5);
  assert.equal(store.committedEnd(a), 5);
  await store.close();
});

Deno.test("readInOrder() gives nothing that is not yet on disk", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  store.append(log, 1, NOTHING, bytes("on disk"));
  await store.committed();
  store.append(log, 1, NOTHING, bytes("not yet"));
  const wants = [{ log, next: 0 }];
  const results = await store.readInOrder(wants, 1000);
  assert.equal(results.length, 1);
  assert.equal(store.readCached(wants, 1000)?.length, 1);
  assert.equal(store.end(log), 2);
  assert.equal(store.committedEnd(log), 1);
  await store.committed();
  assert.equal((await store.readInOrder(wants, 1000)).length, 2);
  await store.close();
});

Deno.test("readInOrder() begins within an item when asked for its middle", async () => {
  const store = await openStore(":memory:");
  const log = store.createLog();
  store.append(log, 10, NOTHING, bytes("0-9"));
  store.append(log, 10, NOTHING, bytes("10-19"));
  await store.committed();
  const bases = async (next: number) =>
    (await store.readInOrder([{ log, next }], 1000)).map((i) => i.base);
  assert.deepEqual(await bases(0), [0, 10]);
  assert.deepEqual(await bases(9), [0, 10]);
  assert.deepEqual(await bases(10), [10]);
  assert.deepEqual(await bases(20), []);
  await store.close();
});

Deno.test("readInOrder() ends at maxBytes and gives one item at least", async () => {
  const store = await openStore(":memory:");
  const log = store.createLog();
  for (let i = 0; i < 100; i++) {
    store.append(log, 1, NOTHING, pattern(5000, i));
  }
  await store.committed();
  const one = await store.readInOrder([{ log, next: 3 }], 1);
  assert.deepEqual(one.map((i) => i.base), [3]);
  const some = await store.readInOrder([{ log, next: 0 }], 20_000);
  assert.ok(some.length >= 3 && some.length <= 5, `${some.length} items`);
  assert.equal((await readAll(store, [log], 64_000)).length, 100);
  await store.close();
});

Deno.test("readInOrder() leaves unknown logs out", async () => {
  const store = await openStore(":memory:");
  assert.deepEqual(await store.readInOrder([{ log: 7, next: 0 }], 1000), []);
  await store.close();
});

Deno.test("item bytes never change when more is appended", async () => {
  const store = await openStore(":memory:");
  const log = store.createLog();
  const body = bytes("first");
  store.append(log, 1, NOTHING, body);
  body.fill(0);
  await store.committed();
  const [item] = await readAll(store, [log]);
  for (let i = 0; i < 500; i++) {
    store.append(log, 1, NOTHING, pattern(300, i));
    if (i % 50 === 0) await store.committed();
  }
  await store.committed();
  assert.equal(text(item.body), "first");
  await store.close();
});

Deno.test("append() refuses what breaks its rules", async () => {
  const store = await openStore(":memory:");
  const log = store.createLog();
  const tooLarge = new Uint8Array(ITEM_BYTES_MAX + 1);
  assert.throws(() => store.append(log, 1, NOTHING, tooLarge), RangeError);
  assert.throws(() => store.append(log, 0, NOTHING, NOTHING), RangeError);
  assert.throws(() => store.append(log + 1, 1, NOTHING, NOTHING), RangeError);
  assert.throws(() => store.put(0, 1, NOTHING), RangeError);
  assert.throws(() => store.put(32, 1, NOTHING), RangeError);
  assert.throws(() => store.put(1, -1, NOTHING), RangeError);
  store.append(log, 1, NOTHING, new Uint8Array(ITEM_BYTES_MAX));
  await store.committed();
  assert.equal(store.end(log), 1);
  await store.close();
});

Deno.test("openPosition is the position that the item gets, time never falls", async () => {
  const clock = new TestClock();
  const store = await openStore(":memory:", { clock });
  const log = store.createLog();
  const told: [number, number][] = [];
  for (let i = 0; i < 5; i++) {
    told.push([store.openPosition, store.openTime]);
    store.append(log, 1, NOTHING, NOTHING);
    await store.committed();
    assert.equal(store.position, told[i][0]);
    clock.jumpTo(clock.wallMs() + (i % 2 === 0 ? -5000 : 700));
  }
  const items = await readAll(store, [log]);
  assert.deepEqual(items.map((i) => [i.position, i.time]), told);
  const times = items.map((i) => i.time);
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
  await store.close();
});

Deno.test("time does not fall across opening again", async () => {
  await using folder = await tempFolder();
  const clock = new TestClock();
  const first = await openStore(folder.path, { clock });
  const log = first.createLog();
  first.append(log, 1, NOTHING, NOTHING);
  const before = first.openTime;
  await first.close();
  clock.jumpTo(before - 100_000);
  const second = await openStore(folder.path, { clock });
  assert.equal(second.openTime, before);
  await second.close();
});

Deno.test("onSeal() callbacks run in order, after their commit, before committed()", async () => {
  const order: string[] = [];
  let n = 0;
  const store = await openStore(":memory:", {
    onSeal: () => {
      const mine = ++n;
      order.push(`seal ${mine}`);
      return () => order.push(`done ${mine} at ${store.position}`);
    },
  });
  const log = store.createLog();
  store.append(log, 1, NOTHING, NOTHING);
  const first = store.committed().then(() => order.push("first"));
  store.append(log, 1, NOTHING, NOTHING);
  await first;
  store.append(log, 1, NOTHING, NOTHING);
  await store.committed();
  assert.deepEqual(order, [
    "seal 1",
    "done 1 at 1",
    "first",
    "seal 2",
    "done 2 at 2",
  ]);
  await store.close();
});

Deno.test("what is appended in one turn shares a commit", async () => {
  const store = await openStore(":memory:");
  const log = store.createLog();
  for (let i = 0; i < 100; i++) {
    store.append(log, 1, NOTHING, bytes("x"));
    store.commit();
  }
  await store.committed();
  assert.equal(store.position, 1);
  await store.close();
});

Deno.test("makeRoom() closes the group before it overflows", async () => {
  const seals: number[] = [];
  const store = await openStore(":memory:", {
    onSeal: () => {
      seals.push(store.openPosition);
      return null;
    },
  });
  const log = store.createLog();
  const body = pattern(50_000, 1);
  for (let i = 0; i < 40; i++) {
    store.makeRoom(body.length);
    const position = store.openPosition;
    store.append(log, 1, NOTHING, body);
    assert.equal(store.openPosition, position, "append() closed the group");
  }
  assert.ok(seals.length >= 3, `${seals.length} groups`);
  assert.ok(store.dirtyBytes > 40 * 50_000);
  await store.committed();
  assert.equal(store.dirtyBytes, 0);
  assert.equal((await readAll(store, [log])).length, 40);
  await store.close();
});

Deno.test("append() without makeRoom() never overflows a commit", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  for (let i = 0; i < 200; i++) {
    store.append(log, 1, NOTHING, pattern(31_000, i));
  }
  await store.close();
  const again = await openStore(folder.path);
  const items = await readAll(again, [log]);
  assert.equal(items.length, 200);
  items.forEach((item, i) => assert.deepEqual(item.body, pattern(31_000, i)));
  await again.close();
});

Deno.test("a change list larger than a commit goes to disk as a whole", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  for (let key = 0; key < 3000; key++) store.put(3, key, pattern(700, key));
  store.put(4, 1, pattern(200_000, 4));
  store.append(log, 1, NOTHING, bytes("with it"));
  await store.close();
  const again = await openStore(folder.path);
  assert.equal(again.position, 1);
  const entries = again.takeEntries(3);
  assert.equal(entries.size, 3000);
  for (const [key, value] of entries) {
    assert.deepEqual(Uint8Array.from(value), pattern(700, key));
  }
  assert.deepEqual(
    Uint8Array.from(again.takeEntries(4).get(1) ?? NOTHING),
    pattern(200_000, 4),
  );
  assert.equal(again.end(log), 1);
  await again.close();
});

Deno.test("takeEntries() gives an owner's table once", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  store.put(1, 5, bytes("five"));
  store.put(1, 6, bytes("six"));
  store.put(1, 5, bytes("FIVE"));
  store.put(31, 2 ** 40, bytes("far"));
  await store.committed();
  store.delete(1, 6);
  await store.close();
  const again = await openStore(folder.path);
  const entries = [...again.takeEntries(1)].map(([k, v]) => [k, text(v)]);
  assert.deepEqual(entries, [[5, "FIVE"]]);
  assert.equal(again.takeEntries(1).size, 0);
  assert.equal(text(again.takeEntries(31).get(2 ** 40) ?? NOTHING), "far");
  await again.close();
});

Deno.test("dropLog() ends a log; its number does not come again", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const a = store.createLog();
  const b = store.createLog();
  store.append(a, 1, NOTHING, bytes("a"));
  store.append(b, 1, NOTHING, bytes("b"));
  await store.committed();
  store.dropLog(b);
  assert.equal(store.hasLog(b), false);
  await store.close();
  const again = await openStore(folder.path);
  assert.deepEqual([...again.logs()], [a]);
  assert.equal(again.createLog(), b + 1);
  assert.deepEqual((await readAll(again, [a])).map((i) => text(i.body)), ["a"]);
  await again.close();
});

Deno.test("offsetAtTime() is exact, also within a journal value", async () => {
  const clock = new TestClock();
  const store = await openStore(":memory:", { clock });
  const log = store.createLog();
  const start = clock.wallMs();
  for (let i = 0; i < 50; i++) {
    clock.jumpTo(start + i * 10);
    store.append(log, 2, NOTHING, pattern(2000, i));
    await store.committed();
  }
  for (const i of [0, 1, 7, 25, 49]) {
    assert.equal(await store.offsetAtTime(log, start + i * 10), i * 2);
    assert.equal(await store.offsetAtTime(log, start + i * 10 - 3), i * 2);
  }
  assert.equal(await store.offsetAtTime(log, start + 491), 100);
  store.trim(log, 31);
  assert.equal(await store.offsetAtTime(log, 0), 31);
  // What is not yet on disk has its time too.
  clock.jumpTo(start + 1000);
  store.append(log, 1, NOTHING, NOTHING);
  assert.equal(await store.offsetAtTime(log, start + 1000), 100);
  assert.equal(await store.offsetAtTime(log, start + 1001), 101);
  await store.close();
});

Deno.test("trimTarget() keeps at least the bytes asked for, and what is young", async () => {
  const clock = new TestClock();
  const store = await openStore(":memory:", { clock });
  const log = store.createLog();
  for (let i = 0; i < 100; i++) {
    clock.advance(1000);
    store.append(log, 1, NOTHING, pattern(10_000, i));
    await store.committed();
  }
  const total = store.bytes(log);
  assert.equal(total, 1_000_000);
  const bySize = store.trimTarget(log, { keepBytes: 300_000 });
  assert.ok(bySize >= 60 && bySize <= 70, `${bySize}`);
  const byAge = store.trimTarget(log, { olderThanMs: 20_000 });
  assert.ok(byAge >= 70 && byAge <= 80, `${byAge}`);
  assert.equal(store.trimTarget(log, {}), 0);
  assert.equal(store.trimTarget(log, { keepBytes: 0 }), 100);
  assert.equal(store.trimTarget(log, { olderThanMs: -1 }), 100);
  store.trim(log, bySize);
  assert.ok(store.bytes(log) >= 300_000 && store.bytes(log) < 400_000);
  await store.close();
});

Deno.test("close() commits what is there and may be called twice", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  store.append(log, 1, NOTHING, bytes("last"));
  await Promise.all([store.close(), store.close()]);
  assert.throws(() => store.append(log, 1, NOTHING, NOTHING), {
    code: "closed",
  });
  await assert.rejects(store.committed(), { code: "closed" });
  const again = await openStore(folder.path);
  const [item]: ReadResult[] = await readAll(again, [log]);
  assert.ok(!("damaged" in item));
  assert.equal(text(item.body), "last");
  await again.close();
  await assert.rejects(
    again.readInOrder([{ log, next: 0 }], 10),
    (error: unknown) => error instanceof MomError && error.code === "closed",
  );
});
