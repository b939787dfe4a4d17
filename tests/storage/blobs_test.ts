import assert from "node:assert/strict";
import type { Store } from "../../storage/store.ts";
import { FaultyKv } from "./_faulty_kv.ts";
import {
  bytes,
  countKeys,
  NOTHING,
  openStore,
  pattern,
  readAll,
  tempFolder,
  text,
  withDatabase,
} from "./_support.ts";

/** Commits until the background work of a store is done. */
async function settle(store: Store): Promise<void> {
  for (let i = 0; i < 60; i++) {
    store.put(31, 0, NOTHING);
    await store.committed();
  }
}

Deno.test("a staged body becomes an item and is read back", async () => {
  await using folder = await tempFolder();
  let store = await openStore(folder.path);
  const log = store.createLog();
  const bodies = [0, 1, 61_435, 61_436, 3_000_000].map((n) => pattern(n, n));
  for (const body of bodies) {
    const blob = await store.stage(body);
    store.append(log, 2, NOTHING, bytes("small"));
    store.appendStaged(log, bytes("large"), blob);
  }
  await store.committed();
  for (let round = 0; round < 2; round++) {
    const items = (await readAll(store, [log])).filter((i) => i.blob !== null);
    assert.equal(items.length, bodies.length);
    for (const [i, item] of items.entries()) {
      assert.equal(item.bodyBytes, bodies[i].length);
      assert.equal(text(item.meta), "large");
      assert.deepEqual(await store.readBlob(item.blob ?? 0), bodies[i]);
    }
    await store.close();
    store = await openStore(folder.path);
  }
  await store.close();
});

Deno.test("others commit while a body is staged", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  let isStaged = false;
  const staging = store.stage(pattern(8_000_000, 1)).then((blob) => {
    isStaged = true;
    return blob;
  });
  let between = 0;
  while (!isStaged && between < 1000) {
    store.append(log, 1, NOTHING, bytes("between"));
    await store.committed();
    between++;
  }
  assert.ok(between >= 10, `${between} commits in between`);
  store.appendStaged(log, NOTHING, await staging);
  await store.committed();
  assert.equal((await readAll(store, [log])).length, between + 1);
  await store.close();
});

Deno.test("what was staged and belongs to no log is deleted after opening again", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  await store.stage(pattern(700_000, 1));
  await store.close();
  assert.equal(await countKeys(folder.path, ["b"]), 12);
  const again = await openStore(folder.path);
  await settle(again);
  assert.equal(await countKeys(folder.path, ["b"]), 0);
  assert.equal(again.liveBytes, 0);
  await again.close();
});

Deno.test("parts of a body that was half staged at a crash are deleted", async () => {
  await using folder = await tempFolder();
  const faults = new FaultyKv(3, 4);
  const store = await openStore(folder.path, {
    openKv: (path) => faults.open(path),
    onFailed: () => {},
  });
  await assert.rejects(store.stage(pattern(5_000_000, 1)), {
    code: "store_unavailable",
  });
  await store.close();
  assert.equal(await countKeys(folder.path, ["b"]), 24);
  const again = await openStore(folder.path);
  await settle(again);
  await again.close();
  assert.equal(await countKeys(folder.path, ["b"]), 0);
});

Deno.test("discardStaged() and trim() delete parts", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  const kept = await store.stage(pattern(100_000, 1));
  store.discardStaged(await store.stage(pattern(300_000, 2)));
  store.appendStaged(log, NOTHING, await store.stage(pattern(200_000, 3)));
  store.appendStaged(log, NOTHING, kept);
  await settle(store);
  assert.equal(await countKeys(folder.path, ["b"]), 2 + 4);
  const [first] = await readAll(store, [log]);
  store.trim(log, 1);
  await settle(store);
  assert.equal(await countKeys(folder.path, ["b"]), 2);
  await assert.rejects(store.readBlob(first.blob ?? 0), {
    code: "data_damaged",
  });
  assert.throws(() => store.appendStaged(log, NOTHING, kept), RangeError);
  assert.throws(() => store.discardStaged(kept), RangeError);
  assert.deepEqual(await store.readBlob(kept.id), pattern(100_000, 1));
  await store.close();
});

Deno.test("readBlob() rejects a damaged part", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  const blob = await store.stage(pattern(200_000, 3));
  store.appendStaged(log, NOTHING, blob);
  await store.close();
  await withDatabase(folder.path, async (kv) => {
    const key = ["b", blob.id, 2];
    const { value } = await kv.get<Uint8Array>(key);
    assert.ok(value !== null);
    value[5000] ^= 1;
    await kv.set(key, value);
  });
  const again = await openStore(folder.path);
  const [item] = await readAll(again, [log]);
  await assert.rejects(again.readBlob(item.blob ?? 0), {
    code: "data_damaged",
  });
  await again.close();
});
