import assert from "node:assert/strict";
import { copyFolder as copy } from "../helpers/copy_folder.ts";
import { findWrongSums } from "../../program/status.ts";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { backupStore } from "../../storage/backup.ts";
import { restoreStore } from "../../storage/restore.ts";
import { eventually } from "../helpers/eventually.ts";
import {
  range,
  rejectsWith,
  take,
  takesNothing,
  takeValues,
} from "../helpers/expect.ts";
import { Place } from "./_place.ts";

const OTHER = "127.0.0.1:8001";

function droppedOf(place: Place): Record<string, number> {
  assert.deepEqual(findWrongSums(place.broker.status()), []);
  return place.broker.status().totals.droppedReasons;
}

Deno.test("a daemon that lost its disk: handles go on, what it had is counted", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  const ben = await place.connect("ben");
  const eve = await place.connectDirectly("eve");
  await ben.subscribe("doors/#");
  await eve.publishMany("doors/1", range(4));
  await place.custody(4);
  await ana.publish("doors/2", "before");
  await place.custody(5);
  const told = ben.events();
  const replaced = (async () => {
    for await (const { type } of told) if (type === "replaced") return true;
  })();
  await place.stopDaemon();
  await Deno.remove(place.machine, { recursive: true });
  await place.startDaemon();
  await place.linked();
  assert.ok(await replaced);
  await ana.publish("doors/2", "after", { level: "broker" });
  await eve.publish("doors/1", 4);
  assert.deepEqual(
    new Set(await takeValues(ben, 2)),
    new Set(["after", 4]),
  );
  await takesNothing(ben);
  await place.confirmed();
  assert.deepEqual(droppedOf(place), { machine_lost: 5 });
});

Deno.test("publishes that were on the lost disk alone are told as lost, the handle goes on", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  const ben = await place.connectDirectly("ben");
  await ben.subscribe("doors/#");
  await ana.publish("doors/1", 1);
  assert.deepEqual(await takeValues(ben, 1), [1]);
  await ben.close();
  await place.stopBroker();
  for (const n of [2, 3, 4]) {
    assert.equal((await ana.publish("doors/1", n)).level, "daemon");
  }
  const told = ana.events();
  const lost = (async () => {
    for await (const event of told) if (event.type === "lost") return event;
  })();
  await place.stopDaemon();
  await Deno.remove(place.machine, { recursive: true });
  await place.startDaemon();
  await place.startBroker();
  await place.linked();
  await ana.publish("doors/1", 5, { level: "broker" });
  assert.equal((await lost)?.count, 3);
  const again = await place.connectDirectly("ben");
  assert.deepEqual(await takeValues(again, 1), [5]);
});

Deno.test("a cloned daemon is turned away while the original lives, then goes on from what is known", async () => {
  await using place = await Place.start();
  const ana = await place.connectDirectly("ana");
  const ben = await place.connect("ben");
  await ben.subscribe("doors/#");
  await ana.publishMany("doors/1", range(3));
  await place.custody(3);
  await place.stopDaemon();
  const clone = `${place.folder.path}/clone`;
  await copy(place.machine, clone);
  await place.startDaemon();
  await place.linked();
  // The original hands out what the clone has too, and takes more in.
  assert.deepEqual(await takeValues(ben, 3), [0, 1, 2]);
  await ben.close();
  await ana.publishMany("doors/1", [3, 4]);
  await place.custody(2);
  const other = await place.openDaemon(clone, OTHER);
  await eventually("machine_in_use", () => {
    return other.status().link?.reason?.startsWith("machine_in_use");
  });
  assert.equal(place.daemon.status().link?.state, "up");
  await place.stopDaemon();
  await eventually(
    "the clone's link",
    () => other.status().link?.state === "up",
  );
  assert.equal(other.status().recovery?.mayComeTwice, 3);
  assert.deepEqual(droppedOf(place), { machine_lost: 2 });
  await ana.publishMany("doors/1", [5, 6]);
  const late = await place.connect("ben", { daemon: OTHER });
  const got = await take(late, 5);
  assert.deepEqual(got.map(({ value }) => value), [0, 1, 2, 5, 6]);
  assert.deepEqual(
    got.map(({ redelivered }) => redelivered),
    [true, true, true, false, false],
  );
  await takesNothing(late);
  await place.confirmed();
  assert.deepEqual(findWrongSums(place.broker.status()), []);
});

Deno.test("a copied broker folder is another epoch: nothing new is taken for old", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  const ben = await place.connect("ben");
  await ben.subscribe("doors/#");
  await ana.publish("doors/1", "both", { level: "broker" });
  assert.deepEqual(await takeValues(ben, 1), ["both"]);
  await place.confirmed();
  await place.stopBroker();
  await copy(place.data, `${place.data}.copy`);
  await place.startBroker();
  const { epoch, id } = place.broker.status().store;
  await place.linked();
  for (const n of [1, 2, 3]) {
    await ana.publish("doors/1", `original ${n}`, { level: "broker" });
  }
  assert.equal((await takeValues(ben, 3)).length, 3);
  await place.stopBroker();
  await Deno.rename(place.data, `${place.data}.original`);
  await Deno.rename(`${place.data}.copy`, place.data);
  await place.startBroker();
  await place.linked();
  const { store } = place.broker.status();
  assert.equal(store.id, id);
  assert.notEqual(store.epoch, epoch);
  // The offsets of what the original had.
  for (const n of [1, 2, 3]) {
    await ana.publish("doors/1", `copy ${n}`, { level: "broker" });
  }
  const got = await takeValues(ben, 3);
  assert.deepEqual(got.slice(-3), ["copy 1", "copy 2", "copy 3"]);
});

Deno.test("a broker that lost its disk is a new one to everybody, and all go on", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  const ben = await place.connect("ben");
  const eve = await place.connectDirectly("eve");
  await ben.subscribe("doors/#");
  await eve.subscribe("doors/#");
  await ana.publishMany("doors/1", range(3), { level: "broker" });
  await place.custody(3);
  assert.deepEqual(await takeValues(eve, 3), [0, 1, 2]);
  await place.stopBroker();
  await Deno.remove(place.data, { recursive: true });
  await place.startBroker();
  await place.linked();
  await ana.publish("doors/1", 3, { level: "broker" });
  assert.deepEqual(await takeValues(eve, 1), [3]);
  assert.deepEqual(await takeValues(ben, 4), [0, 1, 2, 3]);
  assert.equal(place.daemon.status().recovery?.mayBeLost, 3);
  await place.confirmed();
  assert.deepEqual(findWrongSums(place.broker.status()), []);
});

Deno.test("a store that is opened where it was, or under another name, keeps its epoch", async () => {
  await using place = await Place.start();
  const { epoch } = place.broker.status().store;
  await place.stopBroker();
  await Deno.rename(place.data, `${place.data}.moved`);
  await Deno.rename(`${place.data}.moved`, place.data);
  await place.startBroker();
  assert.equal(place.broker.status().store.epoch, epoch);
});

Deno.test("a restored daemon marks what it may have handed over, and what it had since is counted", async () => {
  await using place = await Place.start();
  const ana = await place.connectDirectly("ana");
  const ben = await place.connect("ben");
  await ben.subscribe("doors/#");
  await ben.close();
  await ana.publishMany("doors/1", [1, 2]);
  await place.custody(2);
  await place.stopDaemon();
  const file = `${place.folder.path}/daemon-backup`;
  const { messages } = await backupStore({
    data: place.machine,
    role: "daemon",
    file,
  });
  assert.equal(messages, 2);
  await place.startDaemon();
  await place.linked();
  const since = await place.connect("ben");
  assert.deepEqual(await takeValues(since, 2), [1, 2]);
  await since.close();
  await ana.publishMany("doors/1", [3, 4, 5]);
  await place.custody(3);
  await place.stopDaemon();
  await restoreStore({
    data: place.machine,
    role: "daemon",
    file,
    entropy: systemEntropy,
    wallMs: systemClock.wallMs(),
  });
  await place.startDaemon();
  await place.linked();
  const late = await place.connect("ben");
  const got = await take(late, 2);
  assert.deepEqual(
    got.map(({ value, redelivered }) => [value, redelivered]),
    [[1, true], [2, true]],
  );
  await takesNothing(late);
  assert.deepEqual(droppedOf(place), { machine_lost: 3 });
});

Deno.test("a handle whose name another one took is turned away, also after a lost disk", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  await place.stopDaemon();
  await Deno.remove(place.machine, { recursive: true });
  await place.startDaemon();
  const error = await rejectsWith("name_in_use", place.connect("ana"))
    .catch(() => null);
  // Whoever came first has the name; the other one is told, never silent.
  if (error === null) await rejectsWith("name_in_use", ana.publish("x", 1));
});
