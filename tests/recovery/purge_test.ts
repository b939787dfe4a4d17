import assert from "node:assert/strict";
import { findWrongSums } from "../../program/status.ts";
import { purgeOffline } from "../../broker/offline.ts";
import {
  range,
  rejectsWith,
  takesNothing,
  takeValues,
} from "../helpers/expect.ts";
import { Place } from "./_place.ts";

Deno.test("purge() of a topic removes what is stored, counts what waited, and the offsets go on", async () => {
  await using place = await Place.start();
  const ana = await place.connectDirectly("ana");
  const ben = await place.connectDirectly("ben");
  await ben.subscribe("doors/#");
  await ana.publishMany("doors/1", range(10));
  await ana.publishMany("doors/2", range(3));
  const { epoch } = place.broker.status().store;
  assert.deepEqual(await place.broker.purge({ topic: "doors/1" }), {
    removed: 10,
    dropped: 10,
  });
  const receipt = await ana.publish("doors/1", "new");
  assert.equal(receipt.offset, 10);
  const report = place.broker.status();
  assert.deepEqual(findWrongSums(report), []);
  assert.deepEqual(report.totals.droppedReasons, { purged: 10 });
  assert.deepEqual(
    report.topics.map((
      { topic, published, stored, trimmed },
    ) => [topic, published, stored, trimmed]),
    [["doors/1", 11, 1, 10], ["doors/2", 3, 3, 0]],
  );
  assert.equal(report.store.epoch, epoch);
  assert.deepEqual(await takeValues(ben, 4), [0, 1, 2, "new"]);
  await takesNothing(ben);
  const late = await place.connectDirectly("late");
  await late.subscribe("doors/1", { from: "earliest" });
  assert.deepEqual(await takeValues(late, 1), ["new"]);
});

Deno.test("purge() of a user drops what waits at the broker; what lies at its daemon comes", async () => {
  await using place = await Place.start();
  const ana = await place.connectDirectly("ana");
  const ben = await place.connect("ben");
  const cat = await place.connectDirectly("cat");
  await ben.subscribe("doors/#");
  await cat.subscribe("doors/#");
  await ana.publishMany("doors/1", range(4));
  await place.custody(4);
  await place.stopDaemon();
  await ana.publishMany("doors/1", [4, 5]);
  assert.deepEqual(await place.broker.purge({ user: "ben@north" }), {
    removed: 0,
    dropped: 2,
  });
  await place.startDaemon();
  await ana.publish("doors/1", 6);
  assert.deepEqual(await takeValues(ben, 5), [0, 1, 2, 3, 6]);
  assert.deepEqual(await takeValues(cat, 7), range(7));
  await takesNothing(ben);
  await place.confirmed();
  assert.deepEqual(findWrongSums(place.broker.status()), []);
});

Deno.test("purgeOffline() does the same on the folder, for a broker that starts later", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  const ben = await place.connectDirectly("ben");
  await ben.subscribe("doors/#");
  await ana.publishMany("doors/1", range(5), { level: "broker" });
  await rejectsWith("data_in_use", purgeOffline(place.data, { all: true }));
  await place.stopBroker();
  await rejectsWith("option_invalid", purgeOffline(place.data, {}));
  await rejectsWith(
    "option_invalid",
    purgeOffline(place.data, { topic: "nowhere" }),
  );
  assert.deepEqual(await purgeOffline(place.data, { all: true }), {
    removed: 5,
    dropped: 5,
  });
  await place.startBroker();
  const receipt = await ana.publish("doors/1", "new", { level: "broker" });
  assert.equal(receipt.level, "broker");
  assert.deepEqual(await takeValues(ben, 1), ["new"]);
  await takesNothing(ben);
  assert.deepEqual(place.broker.status().totals.droppedReasons, { purged: 5 });
  assert.deepEqual(findWrongSums(place.broker.status()), []);
});
