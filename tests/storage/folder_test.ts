import assert from "node:assert/strict";
import { MomError } from "../../protocol/errors.ts";
import {
  bytes,
  openStore,
  tempFolder,
  text,
  withDatabase,
} from "./_support.ts";

Deno.test("open() refuses a folder that is in use, and says by whom", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path);
  await assert.rejects(openStore(folder.path), (error: unknown) => {
    assert.ok(error instanceof MomError);
    assert.equal(error.code, "data_in_use");
    assert.ok(error.message.includes(`process ${Deno.pid} (broker)`));
    return true;
  });
  await store.close();
  const again = await openStore(folder.path);
  assert.deepEqual(again.id, store.id);
  assert.equal(again.epoch, store.epoch);
  await again.close();
});

Deno.test("a store whose owner entry is replaced stops", async () => {
  await using folder = await tempFolder();
  const failures: MomError[] = [];
  const done: string[] = [];
  const store = await openStore(folder.path, {
    onFailed: (error) => failures.push(error),
    onSeal: () => () => done.push("done"),
  });
  store.put(1, 1, bytes("mine"));
  await store.committed();
  await withDatabase(folder.path, async (kv) => {
    await kv.set(["o"], new Uint8Array(16));
  });
  store.put(1, 1, bytes("too late"));
  await assert.rejects(store.committed(), { code: "data_in_use" });
  assert.deepEqual(failures.map((f) => f.code), ["data_in_use"]);
  assert.deepEqual(done, ["done"]);
  assert.throws(() => store.put(1, 2, bytes("no")), { code: "data_in_use" });
  assert.equal(store.canAppend(), false);
  await store.close();
  const again = await openStore(folder.path);
  assert.equal(text(again.takeEntries(1).get(1) ?? bytes("")), "mine");
  await again.close();
});

Deno.test("open() refuses a newer format", async () => {
  await using folder = await tempFolder();
  await (await openStore(folder.path)).close();
  await withDatabase(folder.path, async (kv) => {
    const { value } = await kv.get<Record<string, unknown>>(["r"]);
    await kv.set(["r"], { ...value, format: 2 });
  });
  await assert.rejects(openStore(folder.path), { code: "data_version" });
});

Deno.test("open() refuses another role's data", async () => {
  await using folder = await tempFolder();
  await (await openStore(folder.path)).close();
  await assert.rejects(openStore(folder.path, { role: "daemon" }), {
    code: "option_invalid",
  });
  await (await openStore(folder.path)).close();
});

Deno.test("open() tells what is wrong with a place", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/file`;
  await Deno.writeTextFile(file, "no folder");
  await assert.rejects(openStore(file), { code: "store_unavailable" });
  const other = `${folder.path}/other`;
  await Deno.mkdir(other);
  await Deno.writeTextFile(`${other}/store.kv`, "no database\n".repeat(1000));
  await assert.rejects(openStore(other), { code: "data_damaged" });
  // The lock is not kept.
  await Deno.remove(`${other}/store.kv`);
  await (await openStore(other)).close();
});

Deno.test({
  name: "a store's files are its user's alone",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using folder = await tempFolder();
    const path = `${folder.path}/new/data`;
    const store = await openStore(path);
    store.put(1, 1, bytes("secret"));
    await store.committed();
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o700);
    const names: string[] = [];
    for await (const { name } of Deno.readDir(path)) {
      const mode = ((await Deno.stat(`${path}/${name}`)).mode ?? 0) & 0o777;
      assert.equal(mode, 0o600, name);
      names.push(name);
    }
    assert.ok(names.includes("store.kv-wal") && names.includes("lock"));
    assert.ok(store.bytesOnDisk() > 0);
    await store.close();
  },
});

Deno.test("stores in memory are apart", async () => {
  const a = await openStore(":memory:");
  const b = await openStore(":memory:");
  a.put(1, 1, bytes("a"));
  await a.committed();
  assert.notDeepEqual(a.id, b.id);
  assert.equal(b.position, 0);
  assert.ok(a.isMemory && a.epoch > 0);
  await a.close();
  await b.close();
});
