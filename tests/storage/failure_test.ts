import assert from "node:assert/strict";
import type { MomError } from "../../protocol/errors.ts";
import type { DiskMeter } from "../../storage/disk_meter.ts";
import { Space } from "../../storage/space.ts";
import { eventually } from "../helpers/eventually.ts";
import { FaultyKv } from "./_faulty_kv.ts";
import {
  bytes,
  NOTHING,
  openStore,
  tempFolder,
  TestClock,
} from "./_support.ts";

const MIB = 1024 * 1024;
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

Deno.test("on a disk that stays full a commit waits, and is lost to nobody when there is room", async () => {
  await using folder = await tempFolder();
  const clock = new TestClock();
  const faults = new FaultyKv(0, 0, FULL);
  const done: string[] = [];
  const store = await openStore(folder.path, {
    clock,
    openKv: (path) => faults.open(path),
    onSeal: () => () => done.push("done"),
  });
  const log = store.createLog();
  store.append(log, 1, NOTHING, bytes("waits"));
  const committed = store.committed();
  for (let tries = 2; tries <= 4; tries++) {
    await untilWaiting(faults, tries);
    assert.deepEqual(done, []);
    assert.equal(store.canAppend(), false);
    clock.advance(250);
  }
  await untilWaiting(faults, 5);
  faults.heal();
  clock.advance(250);
  await committed;
  assert.deepEqual(done, ["done"]);
  assert.equal(store.committedEnd(log), 1);
  await store.close();
});

Deno.test("a store that closes on a full disk tries once more, then fails with storage_full", async () => {
  await using folder = await tempFolder();
  const clock = new TestClock();
  const faults = new FaultyKv(0, 0, FULL);
  const failures: MomError[] = [];
  const store = await openStore(folder.path, {
    clock,
    openKv: (path) => faults.open(path),
    onFailed: (error) => failures.push(error),
  });
  store.put(1, 1, NOTHING);
  const committed = assert.rejects(store.committed(), { code: "storage_full" });
  await untilWaiting(faults, 2);
  await store.close();
  await committed;
  assert.deepEqual(failures.map((f) => f.code), ["storage_full"]);
  assert.equal(faults.commits, 3);
});

/** Until so many commits were tried, the opener's among them, and the last one has failed. */
async function untilWaiting(faults: FaultyKv, commits: number): Promise<void> {
  await eventually("the next try", () => faults.commits === commits);
  // The failure is heard of some turns later.
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

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

/** A disk of 2000 MiB as it is told. */
function diskOf(values: Partial<Record<keyof DiskMeter, number>>) {
  const disk = {
    totalBytes: 2000 * MIB,
    freeBytes: 500 * MIB,
    databaseBytes: 100 * MIB,
    logBytes: 0,
    ...values,
  };
  const meter: DiskMeter = {
    totalBytes: () => disk.totalBytes,
    freeBytes: () => disk.freeBytes,
    databaseBytes: () => disk.databaseBytes,
    logBytes: () => disk.logBytes,
  };
  return { disk, meter };
}

/** A watch over such a disk; `live` and `dirty` are to be changed. */
function watch(values: Partial<Record<keyof DiskMeter, number>>) {
  const clock = new TestClock();
  const { disk, meter } = diskOf(values);
  const put = { live: 0, dirty: 0 };
  const space = new Space({
    folder: ".",
    clock,
    reserveBytes: 0,
    liveBytes: () => put.live,
    dirtyBytes: () => put.dirty,
    meter,
  });
  return { clock, disk, put, space };
}

Deno.test("Space counts what the database can use again as free", () => {
  const { clock, disk, put, space } = watch({ freeBytes: 70 * MIB });
  assert.equal(space.hasRoom(), true, "above the mark of 64 MiB");
  put.live = 100 * MIB;
  put.dirty = 10 * MIB;
  assert.equal(space.hasRoom(), false, "on its way to the disk");
  put.dirty = 0;
  disk.logBytes = 5 * MIB;
  clock.advance(250);
  assert.equal(space.hasRoom(), true, "the log has its size");
  disk.freeBytes = 68 * MIB;
  clock.advance(250);
  assert.equal(space.hasRoom(), false, "what is in the log goes into the file");
  disk.freeBytes = 40 * MIB;
  disk.databaseBytes += 120 * MIB;
  put.live = 80 * MIB;
  clock.advance(250);
  assert.equal(space.hasRoom(), false, "17 MiB are free in the file");
  put.live = 50 * MIB;
  assert.equal(space.hasRoom(), true, "43 MiB are");
  // The file grows late, with what trims have left free again already.
  disk.databaseBytes += 15 * MIB;
  clock.advance(250);
  assert.equal(space.hasRoom(), true);
  put.live = 80 * MIB;
  assert.equal(space.hasRoom(), false);
  put.live = 0;
  disk.freeBytes = 30 * MIB;
  clock.advance(250);
  assert.equal(space.hasRoom(), false, "too little of the disk itself");
});

Deno.test("Space looks again when much was put in, and when time has passed", () => {
  const { clock, disk, put, space } = watch({});
  assert.equal(space.hasRoom(), true);
  disk.freeBytes = 0;
  assert.equal(space.hasRoom(), true, "looked again at once");
  put.live += MIB;
  assert.equal(space.hasRoom(), false);
  disk.freeBytes = 500 * MIB;
  assert.equal(space.hasRoom(), false, "looked again at once");
  clock.advance(250);
  assert.equal(space.hasRoom(), true);
});

Deno.test("Space takes what gathers, and what is asked for, as put in", () => {
  const { put, space } = watch({ freeBytes: 71 * MIB });
  assert.deepEqual([space.hasRoom(), space.hasRoom(2 * MIB)], [true, false]);
  put.dirty = 2 * MIB;
  assert.equal(space.hasRoom(), false);
});

Deno.test("Space keeps a sixteenth of a small disk free, and room for the log", () => {
  const { clock, disk, space } = watch({ totalBytes: 16 * MIB });
  const roomAt = (freeMib: number, logMib: number) => {
    disk.freeBytes = freeMib * MIB;
    disk.logBytes = logMib * MIB;
    clock.advance(250);
    return space.hasRoom();
  };
  assert.deepEqual(
    [roomAt(7, 0), roomAt(5.9, 0), roomAt(1.1, 5), roomAt(0.9, 5)],
    [true, false, true, false],
  );
});
