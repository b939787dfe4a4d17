import assert from "node:assert/strict";
import type { MomError } from "../../protocol/errors.ts";
import { Space } from "../../storage/space.ts";
import { FaultyKv } from "./_faulty_kv.ts";
import {
  bytes,
  NOTHING,
  openStore,
  tempFolder,
  TestClock,
} from "./_support.ts";

const FULL = "database or disk is full";

Deno.test("after a failed commit nothing is confirmed and nothing is written", async () => {
  await using folder = await tempFolder();
  const faults = new FaultyKv(1);
  const failures: MomError[] = [];
  let confirmed = 0;
  const store = await openStore(folder.path, {
    openKv: (path) => faults.open(path),
    onFailed: (error) => failures.push(error),
    onSeal: () => () => confirmed++,
  });
  const log = store.createLog();
  await store.committed();
  store.append(log, 1, NOTHING, bytes("lost"));
  const first = store.committed();
  store.append(log, 1, NOTHING, bytes("lost too"));
  const second = store.committed();
  await assert.rejects(first, { code: "store_unavailable" });
  await assert.rejects(second, { code: "store_unavailable" });
  await assert.rejects(store.committed(), { code: "store_unavailable" });
  assert.throws(() => store.append(log, 1, NOTHING, NOTHING), {
    code: "store_unavailable",
  });
  assert.throws(() => store.commit(), { code: "store_unavailable" });
  assert.equal(failures.length, 1);
  assert.equal(confirmed, 1);
  assert.equal(store.committedEnd(log), 0);
  const { commits } = faults;
  faults.heal();
  await store.close();
  assert.equal(faults.commits, commits, "a commit was tried after the failure");
});

Deno.test("an error of the owner's callback stops the store", async () => {
  const failures: MomError[] = [];
  const store = await openStore(":memory:", {
    onFailed: (error) => failures.push(error),
    onSeal: () => {
      throw new Error("a defect");
    },
  });
  store.put(1, 1, NOTHING);
  await assert.rejects(store.committed(), /a defect/);
  assert.equal(failures.length, 1);
  await store.close();
});

Deno.test("on a full disk the reserve is given up and the commit goes through", async () => {
  await using folder = await tempFolder();
  const clock = new TestClock();
  const faults = new FaultyKv(Infinity, 0, FULL);
  const reserve = `${folder.path}/reserve`;
  const store = await openStore(folder.path, {
    clock,
    openKv: (path) => faults.open(path),
    limits: { reserveBytes: 100_000, freeBytesMin: 0 },
  });
  clock.advance(1000);
  store.put(1, 1, NOTHING);
  await store.committed();
  faults.crashNow();
  // As a disk does: there is room again once the reserve is gone.
  faults.onCommit = async () => {
    const isThere = await Deno.stat(reserve).then(() => true, () => false);
    if (!isThere) faults.heal();
  };
  store.put(1, 2, NOTHING);
  await store.committed();
  assert.equal(store.position, 2);
  assert.equal(store.canAppend(), false);
  // The disk of the test has room: later all is as before.
  clock.advance(300);
  assert.equal(store.canAppend(), true);
  await store.close();
});

Deno.test("a disk that stays full ends the store with storage_full", async () => {
  await using folder = await tempFolder();
  const faults = new FaultyKv(0, 0, FULL);
  const failures: MomError[] = [];
  const store = await openStore(folder.path, {
    openKv: (path) => faults.open(path),
    onFailed: (error) => failures.push(error),
  });
  store.put(1, 1, NOTHING);
  await assert.rejects(store.committed(), { code: "storage_full" });
  assert.deepEqual(failures.map((f) => f.code), ["storage_full"]);
  await store.close();
});

Deno.test("below the free-space mark only appending is off", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path, {
    limits: { freeBytesMin: Number.MAX_SAFE_INTEGER },
  });
  assert.equal(store.canAppend(), false);
  store.put(1, 1, bytes("goes on"));
  await store.committed();
  await store.close();
});

Deno.test("a commit that meets a busy database is tried again", async () => {
  await using folder = await tempFolder();
  const faults = new FaultyKv(Infinity, 0, "database is locked");
  const store = await openStore(folder.path, {
    openKv: (path) => faults.open(path),
  });
  let tries = 0;
  faults.crashNow();
  faults.onCommit = () => {
    if (++tries === 5) faults.heal();
    return Promise.resolve();
  };
  store.put(1, 1, NOTHING);
  await store.committed();
  assert.equal(tries, 5);
  await store.close();
});

Deno.test("the time-out of a reserve does not outlive the store", async () => {
  await using folder = await tempFolder();
  const store = await openStore(folder.path, {
    limits: { reserveBytes: 1000, freeBytesMin: 0 },
  });
  await store.close();
});

Deno.test("Space counts what the database can use again as free", () => {
  const clock = new TestClock();
  let reusable = 0;
  const space = new Space({
    folder: ".",
    clock,
    reserveBytes: 0,
    freeBytesMin: 2 ** 52,
    reusableBytes: () => reusable,
  });
  assert.equal(space.hasRoom(), false);
  reusable = 2 ** 53;
  assert.equal(space.hasRoom(), false, "looked again at once");
  clock.advance(250);
  assert.equal(space.hasRoom(), true);
});
