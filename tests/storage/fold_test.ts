import assert from "node:assert/strict";
import { RING_SLOTS } from "../../storage/layout.ts";
import type { Store } from "../../storage/store.ts";
import { FaultyKv } from "./_faulty_kv.ts";
import {
  countKeys,
  NOTHING,
  openStore,
  pattern,
  tempFolder,
  withDatabase,
} from "./_support.ts";

type Entries = Map<number, Uint8Array>;

function check(store: Store, table: number, wanted: Entries): void {
  const found = store.takeEntries(table);
  assert.deepEqual([...found.keys()].sort(), [...wanted.keys()].sort());
  for (const [key, value] of found) {
    assert.deepEqual(Uint8Array.from(value), wanted.get(key), `key ${key}`);
  }
}

Deno.test("entries outlive many more commits than there are slots in the ring", async () => {
  await using folder = await tempFolder();
  const wanted: Entries = new Map();
  let store = await openStore(folder.path);
  const commits = RING_SLOTS + 500;
  for (let i = 0; i < commits; i++) {
    const key = (i * 37) % 1500;
    if (i % 5 === 4) {
      store.delete(7, key);
      wanted.delete(key);
    } else {
      store.put(7, key, pattern(20, i));
      wanted.set(key, pattern(20, i));
    }
    await store.committed();
    if (i % 500 === 250) {
      await store.close();
      store = await openStore(folder.path);
      check(store, 7, wanted);
    }
  }
  assert.equal(store.position, commits);
  await store.close();
  assert.ok(await countKeys(folder.path, ["c"]) <= RING_SLOTS);
  assert.ok(await countKeys(folder.path, ["p"]) > 0, "nothing was folded");
  store = await openStore(folder.path);
  check(store, 7, wanted);
  await store.close();
});

Deno.test("a list is never overwritten before it is folded", async () => {
  await using folder = await tempFolder();
  const faults = new FaultyKv(Infinity);
  const store = await openStore(folder.path, {
    openKv: (path) => faults.open(path),
  });
  const gate = Promise.withResolvers<void>();
  faults.onRead = () => gate.promise;
  const wanted: Entries = new Map();
  let done = 0;
  const all: Promise<void>[] = [];
  // Folding hangs in its first read: positions 1 to RING_SLOTS have slots.
  for (let i = 1; i <= RING_SLOTS + 50; i++) {
    store.put(1, i, pattern(10, i));
    wanted.set(i, pattern(10, i));
    const committed = store.committed().then(() => void done++);
    all.push(committed);
    if (i <= RING_SLOTS) await committed;
    else await Promise.resolve();
  }
  // Time enough for a commit that should not be.
  for (let i = 0; i < 20; i++) await countKeys(folder.path, ["c"]);
  assert.equal(store.position, RING_SLOTS);
  assert.equal(done, RING_SLOTS);
  gate.resolve();
  await Promise.all(all);
  assert.ok(store.position > RING_SLOTS);
  await store.close();
  const again = await openStore(folder.path);
  check(again, 1, wanted);
  await again.close();
});

Deno.test("a store that dies while it folds opens with all entries", async () => {
  // 120 KB a commit: the first fold begins after nine, with pages of several parts.
  let folds = 0;
  for (let commits = 8; commits < 34; commits += 2) {
    await using folder = await tempFolder();
    const operations = commits % 5;
    const faults = new FaultyKv(commits, operations);
    const store = await openStore(folder.path, {
      openKv: (path) => faults.open(path),
      onFailed: () => {},
    });
    const states: Entries[] = [new Map()];
    let confirmed = 0;
    try {
      for (let i = 1; i <= 40; i++) {
        const state = new Map(states[i - 1]);
        for (const key of [i % 7, 300 + (i % 3)]) {
          state.set(key, pattern(60_000, i));
        }
        states.push(state);
        state.forEach((value, key) => {
          if (states[i - 1].get(key) !== value) store.put(2, key, value);
        });
        await store.committed();
        confirmed = store.position;
      }
    } catch (error) {
      assert.ok(faults.hasCrashed, String(error));
    }
    assert.ok(faults.hasCrashed);
    await store.close();
    const again = await openStore(folder.path);
    assert.ok(again.position >= confirmed);
    check(again, 2, states[again.position]);
    await again.close();
    if (await countKeys(folder.path, ["p"]) > 0) folds++;
  }
  assert.ok(folds > 5, `only ${folds} cases with pages`);
});

Deno.test("pages of entries that are gone go too", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const fill = async (value: Uint8Array | null) => {
    for (let key = 0; key < 300; key++) {
      if (value === null) store.delete(1, key);
      else store.put(1, key, value);
      await store.committed();
    }
  };
  await fill(pattern(1000, 1));
  assert.ok(await countKeys(folder.path, ["p", 1]) > 0);
  await fill(null);
  await fill(null);
  await store.close();
  assert.equal(await countKeys(folder.path, ["p", 1]), 0);
  const again = await openStore(folder.path);
  assert.equal(again.takeEntries(1).size, 0);
  await again.close();
});

Deno.test("open() reads a bounded number of lists after a long life", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  for (let i = 0; i < 1000; i++) {
    store.put(1, 1, NOTHING);
    await store.committed();
  }
  await store.close();
  await withDatabase(folder.path, async (kv) => {
    const root = await kv.get<{ foldedPosition: number }>(["r"]);
    const folded = root.value?.foldedPosition ?? 0;
    assert.ok(folded > 1000 - 300, `folded up to ${folded} of 1000`);
  });
});
