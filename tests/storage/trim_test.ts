import assert from "node:assert/strict";
import type { Store } from "../../storage/store.ts";
import {
  countKeys,
  NOTHING,
  openStore,
  pattern,
  readAll,
  tempFolder,
} from "./_support.ts";

async function settle(store: Store): Promise<void> {
  for (let i = 0; i < 30; i++) {
    store.put(31, 0, NOTHING);
    await store.committed();
  }
}

Deno.test("trim() deletes journal values that hold nothing any more", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  const other = store.createLog();
  for (let i = 0; i < 200; i++) store.append(log, 1, NOTHING, pattern(6000, i));
  store.append(other, 1, NOTHING, pattern(10, 1));
  await store.committed();
  const before = await countKeys(folder.path, ["j"]);
  assert.ok(before >= 20, `${before} values`);
  const bytes = store.liveBytes;
  store.trim(log, 150);
  await settle(store);
  const after = await countKeys(folder.path, ["j"]);
  assert.ok(after <= before / 4 + 2, `${after} of ${before} values`);
  assert.ok(store.liveBytes < bytes / 3);
  assert.equal((await readAll(store, [log, other])).at(-1)?.log, other);
  // The other log's value stays, however far the first one is trimmed.
  store.trim(log, 10_000);
  await settle(store);
  assert.equal(store.begin(log), 200);
  assert.equal(await countKeys(folder.path, ["j"]), 1);
  store.dropLog(other);
  store.append(log, 1, NOTHING, NOTHING);
  await store.close();
  const again = await openStore(folder.path);
  await settle(again);
  assert.equal(again.begin(log), 200);
  assert.equal(again.end(log), 201);
  assert.equal((await readAll(again, [log])).length, 1);
  again.trim(log, 201);
  await settle(again);
  assert.equal(await countKeys(folder.path, ["j"]), 0);
  assert.equal(again.end(log), 201);
  assert.equal(again.liveBytes, 0);
  await again.close();
});

Deno.test("trim() below the begin does nothing", async () => {
  const store = await openStore(":memory:");
  const log = store.createLog();
  store.append(log, 10, NOTHING, NOTHING);
  store.trim(log, 7);
  store.trim(log, 3);
  assert.equal(store.begin(log), 7);
  await store.committed();
  const [item] = await readAll(store, [log]);
  assert.deepEqual([item.base, item.count], [0, 10]);
  await store.close();
});

Deno.test("a log that is trimmed as it grows keeps its numbers and little space", async () => {
  await using folder = await tempFolder();
  let store = await openStore(folder.path);
  const log = store.createLog();
  for (let i = 0; i < 400; i++) {
    store.append(log, 1, NOTHING, pattern(3000, i));
    store.trim(log, i - 3);
    await store.committed();
    if (i % 100 === 99) {
      await store.close();
      store = await openStore(folder.path);
      assert.equal(store.end(log), i + 1);
    }
  }
  await settle(store);
  assert.ok(store.liveBytes < 100_000, `${store.liveBytes} bytes`);
  assert.ok(await countKeys(folder.path, ["j"]) < 10);
  await store.close();
});

Deno.test("opening goes on with deletions that were not done", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  const log = store.createLog();
  for (let i = 0; i < 500; i++) {
    store.append(log, 1, NOTHING, pattern(31_000, i));
  }
  await store.committed();
  store.trim(log, 500);
  await store.close();
  const left = await countKeys(folder.path, ["j"]);
  assert.ok(left > 400, `${left} values`);
  const again = await openStore(folder.path);
  await settle(again);
  assert.equal(again.end(log), 500);
  await again.close();
  assert.equal(await countKeys(folder.path, ["j"]), 0);
});
