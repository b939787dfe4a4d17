import assert from "node:assert/strict";
import type { Message, Mom } from "../../mod.ts";
import { findWrongSums } from "../../program/status.ts";
import { rejectsWith, take, takesNothing } from "../helpers/expect.ts";
import { Place } from "./_place.ts";

/** How publishers and receivers reach the broker. */
const ROADS = ["daemon", "broker"] as const;

function connect(place: Place, road: (typeof ROADS)[number], name: string) {
  return road === "daemon" ? place.connect(name) : place.connectDirectly(name);
}

/** Two users behind the daemon; ben reads what ana writes. */
async function readerAndWriter(
  place: Place,
): Promise<{ ana: Mom; ben: Mom }> {
  const ana = await place.connect("ana");
  const ben = await place.connect("ben");
  await ben.subscribe("doors/#");
  return { ana, ben };
}

/** Nothing more comes, and nothing is pending. */
async function isThrough(place: Place, reader: Mom): Promise<void> {
  await takesNothing(reader);
  await isSettled(place);
}

async function publish(mom: Mom, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    await mom.publish("doors/1", n, { level: "broker", timeoutMs: 10_000 });
  }
}

function values(messages: readonly Message[]): unknown[] {
  return messages.map(({ value }) => value);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** All sums hold, and nothing waits for anybody. */
async function isSettled(place: Place): Promise<void> {
  await place.confirmed();
  assert.deepEqual(findWrongSums(place.broker.status()), []);
}

for (const road of ROADS) {
  Deno.test(`after a restore senders and receivers at the ${road} go on`, async () => {
    await using place = await Place.start();
    const ana = await connect(place, road, "ana");
    const ben = await connect(place, road, "ben");
    await ben.subscribe("doors/#");
    await publish(ana, 1, 5);
    assert.deepEqual(values(await take(ben, 5)), range(1, 5));
    await place.confirmed();
    await place.backup();
    const { epoch } = place.broker.status().store;
    await publish(ana, 6, 9);
    assert.deepEqual(values(await take(ben, 4)), range(6, 9));
    await place.restore();
    assert.ok(place.broker.status().store.epoch > epoch);
    // Same offsets as 6 and what follows had, other messages.
    await publish(ana, 10, 15);
    const after = await take(ben, 6);
    assert.deepEqual(values(after), range(10, 15));
    assert.equal(after[0].offset, 5);
    assert.ok(after.every(({ redelivered }) => !redelivered));
    await takesNothing(ben);
    await isSettled(place);
  });

  Deno.test(`after a restore what was meant for the store before is refused at the ${road}`, async () => {
    await using place = await Place.start();
    const ana = await connect(place, road, "ana");
    const ben = await connect(place, road, "ben");
    await ben.subscribe("doors/#");
    await ana.publish("doors/1", 1);
    const [{ epoch }] = await take(ben, 1);
    assert.equal(epoch, place.broker.status().store.epoch);
    const options = { level: "broker", epoch } as const;
    await ana.publish("doors/1", 2, options);
    assert.deepEqual(values(await take(ben, 1)), [2]);
    await place.confirmed();
    await place.backup();
    await place.restore();
    // Those that go together, too, with others between them.
    const told = await Promise.allSettled([
      ana.publish("doors/1", 3, options),
      ana.publish("doors/1", 4),
      ana.publish("doors/1", 5, options),
      ana.publish("doors/2", 6, options),
      ana.publish("doors/2", 7),
    ]);
    assert.deepEqual(
      told.map((one) => one.status === "rejected" ? one.reason.code : "done"),
      ["store_replaced", "done", "store_replaced", "store_replaced", "done"],
    );
    const after = await take(ben, 2);
    assert.deepEqual(values(after), [4, 7]);
    assert.ok(after.every((one) => one.epoch !== epoch));
    const [last] = after.slice(-1);
    await ana.publish("doors/2", 8, { ...options, epoch: last.epoch });
    assert.deepEqual(values(await take(ben, 1)), [8]);
    await takesNothing(ben);
    await isSettled(place);
  });

  Deno.test(`after a restore what was taken since the backup comes again at the ${road}, marked`, async () => {
    await using place = await Place.start();
    const ana = await connect(place, road, "ana");
    const ben = await connect(place, road, "ben");
    await ben.subscribe("doors/#");
    await publish(ana, 1, 4);
    await place.backup();
    assert.deepEqual(values(await take(ben, 4)), range(1, 4));
    await place.confirmed();
    await place.restore();
    await publish(ana, 5, 6);
    const again = await take(ben, 6);
    assert.deepEqual(values(again), range(1, 6));
    assert.deepEqual(
      again.map(({ redelivered }) => redelivered),
      [true, true, true, true, false, false],
    );
    assert.equal(place.broker.status().recovery?.mayComeTwice, 4);
    await isSettled(place);
  });

  Deno.test(`after a restore a subscription made since the backup at the ${road} goes on, an ended one is over`, async () => {
    await using place = await Place.start();
    const ana = await connect(place, road, "ana");
    const ben = await connect(place, road, "ben");
    await ben.subscribe("walls/#");
    await place.backup();
    const eve = await connect(place, road, "eve");
    await ben.subscribe("doors/#", { ack: "manual" });
    await eve.subscribe("doors/1");
    await ben.unsubscribe("walls/#");
    const events = ben.events();
    await place.restore();
    const replaced = (async () => {
      for await (const { type } of events) if (type === "replaced") return true;
    })();
    assert.ok(await replaced);
    await rejectsWith("not_subscribed", ben.unsubscribe("walls/#"));
    await publish(ana, 1, 3);
    await ana.publish("walls/1", "none", { level: "broker" });
    const got = await take(ben, 3);
    assert.deepEqual(values(got), [1, 2, 3]);
    for (const message of got) await message.ack();
    assert.deepEqual(values(await take(eve, 3)), [1, 2, 3]);
    await takesNothing(ben);
    await rejectsWith("already_subscribed", ben.subscribe("doors/#"));
    await isSettled(place);
  });

  Deno.test(`after a restore what is lost is told at the ${road}`, async () => {
    await using place = await Place.start();
    const ana = await connect(place, road, "ana");
    await publish(ana, 1, 3);
    await place.backup();
    await publish(ana, 4, 10);
    const told = ana.events();
    const lost = (async () => {
      for await (const event of told) if (event.type === "lost") return event;
    })();
    await place.restore();
    await publish(ana, 11, 11);
    const event = await lost;
    assert.deepEqual([event?.topic, event?.count], ["doors/1", 7]);
    if (road === "broker") return;
    assert.deepEqual(
      [
        place.daemon.status().recovery?.epochs,
        place.daemon.status().recovery?.mayBeLost,
      ],
      [1, 7],
    );
  });
}

Deno.test("what lies at a daemon survives a restore of the broker, once", async () => {
  await using place = await Place.start();
  const { ana, ben } = await readerAndWriter(place);
  await publish(ana, 1, 4);
  await place.custody(4);
  await place.backup();
  await publish(ana, 5, 7);
  await place.custody(7);
  await place.restore();
  await publish(ana, 8, 9);
  assert.deepEqual(values(await take(ben, 9)), range(1, 9));
  await isThrough(place, ben);
});

Deno.test("what a daemon had taken in and handed over since the backup is not pending for ever", async () => {
  await using place = await Place.start();
  const { ana, ben } = await readerAndWriter(place);
  await publish(ana, 1, 3);
  await place.custody(3);
  await place.backup();
  assert.deepEqual(values(await take(ben, 3)), range(1, 3));
  await place.confirmed();
  await place.restore();
  const again = await take(ben, 3);
  assert.deepEqual(values(again), range(1, 3));
  assert.ok(again.every(({ redelivered }) => redelivered));
  await isThrough(place, ben);
});

Deno.test("a user destroyed since the backup is gone after the restore, one made since is there", async () => {
  await using place = await Place.start();
  const { ana, ben } = await readerAndWriter(place);
  await place.backup();
  await ben.destroy();
  const eve = await place.connect("eve");
  await eve.subscribe("doors/#");
  await place.restore();
  await publish(ana, 1, 2);
  assert.deepEqual(values(await take(eve, 2)), [1, 2]);
  const { subscriptions } = place.broker.status();
  assert.deepEqual(subscriptions.map(({ user }) => user), ["eve@north"]);
});

Deno.test("an app that comes back after the restore finds the subscription of a life before", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  await place.backup();
  const ben = await place.connect("ben");
  await ben.subscribe("doors/#");
  await ben.close();
  await place.restore();
  await publish(ana, 1, 2);
  const again = await place.connect("ben");
  assert.deepEqual(values(await take(again, 2)), [1, 2]);
});

Deno.test("a daemon that was down during the restore finds its way", async () => {
  await using place = await Place.start();
  const { ana, ben } = await readerAndWriter(place);
  await publish(ana, 1, 2);
  await place.backup();
  await publish(ana, 3, 5);
  await place.custody(5);
  await place.stopDaemon();
  await place.restore();
  await place.startDaemon();
  await place.linked();
  assert.equal(place.daemon.status().recovery?.epochs, 1);
  await publish(ana, 6, 8);
  assert.deepEqual(values(await take(ben, 8)), range(1, 8));
  await isThrough(place, ben);
});

Deno.test("a subscription that is renewed misses nothing that came since the restore", async () => {
  await using place = await Place.start();
  const ana = await place.connectDirectly("ana");
  const ben = await place.connect("ben");
  await place.backup();
  await ben.subscribe("doors/#");
  await publish(ana, 1, 2);
  assert.deepEqual(values(await take(ben, 2)), [1, 2]);
  await place.stopDaemon();
  await place.restore();
  await publish(ana, 3, 5);
  await place.startDaemon();
  await place.linked();
  await publish(ana, 6, 6);
  assert.deepEqual(values(await take(ben, 4)), range(3, 6));
  await isSettled(place);
});

Deno.test("two restores of the same backup are two epochs", async () => {
  await using place = await Place.start();
  const { ana, ben } = await readerAndWriter(place);
  await publish(ana, 1, 2);
  await place.backup();
  const epochs = [place.broker.status().store.epoch];
  for (let n = 3; n < 7; n += 2) {
    await publish(ana, n, n + 1);
    await place.restore();
    epochs.push(place.broker.status().store.epoch);
  }
  await publish(ana, 9, 9);
  assert.equal(new Set(epochs).size, 3);
  assert.deepEqual(epochs, epochs.toSorted((a, b) => a - b));
  const got = values(await take(ben, 7));
  assert.deepEqual([...new Set(got)].sort(), [1, 2, 3, 4, 5, 6, 9]);
  await isThrough(place, ben);
});

Deno.test("what a daemon sends after a restore keeps its order over all topics", async () => {
  await using place = await Place.start();
  const ana = await place.connect("ana");
  const ben = await place.connectDirectly("ben");
  await ben.subscribe("#");
  const topics = ["doors", "walls", "roofs"];
  const publishAll = async (from: number, to: number) => {
    for (let n = from; n <= to; n++) await ana.publish(topics[n % 3], n);
  };
  await publishAll(1, 6);
  assert.deepEqual(values(await take(ben, 6)), range(1, 6));
  await place.backup();
  // Not to all of them: only some streams have to be sent again.
  await ana.publish("doors", 7);
  await ana.publish("walls", 8);
  assert.deepEqual(values(await take(ben, 2)), [7, 8]);
  await place.stopBroker();
  await publishAll(9, 40);
  await place.restore();
  const got: unknown[] = [];
  while (got.at(-1) !== 40) got.push(...values(await take(ben, 1)));
  assert.deepEqual(got.filter((n) => (n as number) > 8), range(9, 40));
  assert.equal(place.daemon.status().recovery?.mayBeLost, 2);
});

Deno.test("what a daemon has for a store that is replaced meanwhile becomes a dead letter", async () => {
  await using place = await Place.start();
  const { ana, ben } = await readerAndWriter(place);
  await ana.publish("doors/1", 1);
  const [{ epoch }] = await take(ben, 1);
  await place.confirmed();
  await place.backup();
  await place.stopBroker();
  const events = ana.events()[Symbol.asyncIterator]();
  const receipt = await ana.publish("doors/1", 2, { epoch });
  assert.equal(receipt.level, "daemon");
  await ana.publish("doors/1", 3);
  await place.restore();
  assert.deepEqual(values(await take(ben, 1)), [3]);
  let news = await events.next();
  while (news.value.type !== "rejected") news = await events.next();
  await takesNothing(ben);
  await isSettled(place);
});
