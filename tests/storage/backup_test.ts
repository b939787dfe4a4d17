import assert from "node:assert/strict";
import { systemEntropy } from "../../protocol/clock.ts";
import { backupStore } from "../../storage/backup.ts";
import { restoreStore } from "../../storage/restore.ts";
import type { Store } from "../../storage/store.ts";
import {
  bytes,
  NOTHING,
  openStore,
  pattern,
  readAll,
  tempFolder,
  text,
  withDatabase,
} from "./_support.ts";

/** Appends so many small records. */
async function append(store: Store, log: number, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    store.append(log, 1, NOTHING, bytes(`record ${store.end(log)}`));
  }
  await store.committed();
}

function backup(folder: string, name = "backup") {
  return backupStore({
    data: `${folder}/data`,
    role: "broker",
    file: `${folder}/${name}`,
  });
}

function restore(folder: string, options: { discardPrevious?: boolean } = {}) {
  return restoreStore({
    data: `${folder}/data`,
    file: `${folder}/backup`,
    role: "broker",
    entropy: systemEntropy,
    wallMs: 1_700_000_000_000,
    ...options,
  });
}

async function texts(store: Store, log: number): Promise<string[]> {
  return (await readAll(store, [log])).map(({ body }) => text(body));
}

Deno.test("backupStore() holds all of a commit, large records too; restoreStore() puts it back as another epoch", async () => {
  await using folder = await tempFolder();
  const data = `${folder.path}/data`;
  const store = await openStore(data);
  const log = store.createLog();
  store.put(1, 7, bytes("entry"));
  await append(store, log, 400);
  const blob = await store.stage(pattern(300_000, 1));
  store.appendStaged(log, NOTHING, blob);
  await store.close();
  const report = await backup(folder.path);
  assert.equal(report.messages, 401);
  assert.equal(report.damaged, 0);
  assert.equal(report.position, store.position);
  const later = await openStore(data);
  await append(later, log, 20);
  await later.close();
  const restored = await restore(folder.path);
  assert.equal(restored.lost, 20);
  assert.equal(restored.position, report.position);
  assert.ok(restored.epoch > report.epoch);
  const again = await openStore(data);
  assert.deepEqual([again.epoch, again.id], [restored.epoch, store.id]);
  assert.equal(again.end(log), 401);
  const items = await readAll(again, [log]);
  assert.equal(text(items[399].body), "record 399");
  assert.deepEqual(
    await again.readBlob(items[400].blob!),
    pattern(300_000, 1),
  );
  assert.deepEqual([...again.takeEntries(1)], [[7, bytes("entry")]]);
  await append(again, log, 1);
  await again.close();
  const previous = await openStore(restored.previous!);
  assert.equal(previous.end(log), 421);
  assert.equal(previous.epoch, store.epoch);
  await previous.close();
});

Deno.test("a backup is not touched by a restore, and can be restored again", async () => {
  await using folder = await tempFolder();
  const store = await openStore(`${folder.path}/data`);
  const log = store.createLog();
  await append(store, log, 10);
  await store.close();
  await backup(folder.path);
  const before = await Deno.readFile(`${folder.path}/backup`);
  const first = await restore(folder.path, { discardPrevious: true });
  const second = await restore(folder.path, { discardPrevious: true });
  assert.deepEqual([first.previous, second.previous], [null, null]);
  assert.ok(second.epoch > first.epoch);
  assert.deepEqual(await Deno.readFile(`${folder.path}/backup`), before);
  const names = [...Deno.readDirSync(`${folder.path}/data`)];
  assert.deepEqual(names.map(({ name }) => name).sort(), ["lock", "store.kv"]);
});

Deno.test("backupStore() tells of damaged values, and copies all the same", async () => {
  await using folder = await tempFolder();
  const data = `${folder.path}/data`;
  const store = await openStore(data);
  const log = store.createLog();
  for (let n = 0; n < 50; n++) store.append(log, 1, NOTHING, pattern(4_000, n));
  await store.close();
  await withDatabase(data, async (kv) => {
    const { value } = await kv.get<Uint8Array>(["j", 2]);
    value![100] ^= 1;
    await kv.set(["j", 2], value);
  });
  assert.equal((await backup(folder.path)).damaged, 1);
});

Deno.test("a store whose state is damaged gives no backup", async () => {
  await using folder = await tempFolder();
  const data = `${folder.path}/data`;
  const store = await openStore(data);
  await append(store, store.createLog(), 3);
  await store.close();
  await withDatabase(data, async (kv) => {
    for await (const { key, value } of kv.list<Uint8Array>({ prefix: ["c"] })) {
      value[20] ^= 1;
      await kv.set(key, value);
    }
  });
  await assert.rejects(backup(folder.path), { code: "data_damaged" });
  assert.deepEqual(
    [...Deno.readDirSync(folder.path)].map(({ name }) => name),
    ["data"],
  );
});

Deno.test("restoreStore() replaces data that cannot be read, and keeps it", async () => {
  await using folder = await tempFolder();
  const data = `${folder.path}/data`;
  const store = await openStore(data);
  const log = store.createLog();
  await append(store, log, 5);
  await store.close();
  await backup(folder.path);
  const garbage = pattern(20_000, 9);
  await Deno.writeFile(`${data}/store.kv`, garbage);
  await Deno.writeFile(`${data}/restoring.kv`, garbage);
  const { previous, lost } = await restore(folder.path);
  assert.equal(lost, null);
  assert.deepEqual(await Deno.readFile(`${previous}/store.kv`), garbage);
  const again = await openStore(data);
  assert.deepEqual((await texts(again, log)).length, 5);
  await again.close();
});

Deno.test("restoreStore() into a folder that is not there makes it", async () => {
  await using folder = await tempFolder();
  const store = await openStore(`${folder.path}/data`);
  const log = store.createLog();
  await append(store, log, 5);
  await store.close();
  await backup(folder.path);
  await Deno.remove(`${folder.path}/data`, { recursive: true });
  const { previous, lost } = await restore(folder.path);
  assert.deepEqual([previous, lost], [null, null]);
  const again = await openStore(`${folder.path}/data`);
  assert.equal(again.end(log), 5);
  assert.notEqual(again.epoch, store.epoch);
  await again.close();
});

Deno.test("restoreStore() refuses while the store is open, and what is no store of that kind", async () => {
  await using folder = await tempFolder();
  const data = `${folder.path}/data`;
  const store = await openStore(data);
  await append(store, store.createLog(), 5);
  await store.close();
  await backup(folder.path);
  const open = await openStore(data);
  await assert.rejects(restore(folder.path), { code: "data_in_use" });
  await open.close();
  await Deno.remove(data, { recursive: true });
  const other = await openStore(data, { role: "daemon" });
  await append(other, other.createLog(), 1);
  await other.close();
  await assert.rejects(restore(folder.path), { code: "option_invalid" });
  const same = await openStore(data, { role: "daemon" });
  assert.equal(same.epoch, other.epoch);
  await same.close();
});

Deno.test("backupStore() never writes over the store, nor over a file unless told", async () => {
  await using folder = await tempFolder();
  const data = `${folder.path}/data`;
  const store = await openStore(data);
  await append(store, store.createLog(), 5);
  await store.close();
  const own = { data, role: "broker", force: true } as const;
  for (const file of [`${data}/store.kv`, `${data}/store.kv-wal`]) {
    await assert.rejects(backupStore({ ...own, file }), {
      code: "option_invalid",
    });
  }
  await Deno.writeTextFile(`${folder.path}/backup`, "mine");
  await assert.rejects(backup(folder.path), { code: "option_invalid" });
  assert.equal(await Deno.readTextFile(`${folder.path}/backup`), "mine");
  await backupStore({ ...own, file: `${folder.path}/backup` });
  const same = await openStore(data);
  assert.equal(same.epoch, store.epoch);
  await same.close();
});
