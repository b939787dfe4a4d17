/**
 * What clients can have a broker keep, each and all together (PROTOCOL 11). The
 * limits are lowered for each test: to reach the real ones takes a gigabyte.
 *
 * @module
 */

import assert from "node:assert/strict";
import { withLowerLimits } from "../helpers/lower_limits.ts";
import { App } from "./_app.ts";
import { batchOf, idOf } from "./_records.ts";
import { type Wire, World } from "./_world.ts";

/** Runs something in a world with limits that are lower than they are. */
function withLimits(
  limits: Parameters<typeof withLowerLimits>[0],
  run: (world: World) => Promise<void>,
): Promise<void> {
  return withLowerLimits(limits, async () => {
    await using world = await World.open();
    await run(world);
  });
}

async function attach(world: World, name: string, options = {}): Promise<App> {
  return await App.attach(world, world.connect(), name, options);
}

async function codeOf(world: World, wire: Wire): Promise<string | undefined> {
  await world.settle();
  return wire.all("ERROR").at(-1)?.code;
}

/** What a publish is answered with. */
async function publish(app: App, topic: string): Promise<string> {
  const answer = await app.publish(topic, [1]);
  return answer.type === "ERROR" ? answer.code : answer.type;
}

function publishAs(wire: Wire, producer: Uint8Array, topic = "t"): void {
  wire.send({ type: "INTRODUCE", producer, user: "ana" });
  wire.send({
    type: "PUBLISH",
    request: 1,
    topic,
    producer,
    previous: 0,
    firstSequence: 1,
    count: 1,
    attributes: null,
    batch: batchOf([1]),
    wanted: undefined,
  });
}

Deno.test("[P-11.3] producers of a machine are bounded, over all its connections, until they end", async () => {
  await withLimits({ producersPerMachine: 20 }, async (world) => {
    for (let n = 0; n < 20; n += 5) {
      const wire = world.connectDaemon("north");
      for (let i = 0; i < 5; i++) publishAs(wire, idOf(n + i));
      assert.equal(await codeOf(world, wire), undefined);
      wire.cut();
    }
    const wire = world.connectDaemon("north");
    wire.send({ type: "INTRODUCE", producer: idOf(99), user: "ana" });
    assert.equal(await codeOf(world, wire), "storage_full");
    // Another machine has its own, and one that is known goes on.
    const south = world.connectDaemon("south");
    publishAs(south, idOf(100));
    assert.equal(await codeOf(world, south), undefined);
    wire.clear();
    wire.send({ type: "INTRODUCE", producer: idOf(3), user: "ana" });
    wire.send({ type: "ENDED", request: 2, producer: idOf(3) });
    publishAs(wire, idOf(99));
    assert.equal(await codeOf(world, wire), undefined);
  });
});

Deno.test("[P-11.3] a named user that comes back as ever new handles leaves no producers behind", async () => {
  await withLimits({ producersPerMachine: 5 }, async (world) => {
    for (let n = 0; n < 20; n++) {
      const app = await attach(world, "ana");
      assert.equal(await publish(app, "t"), "RECEIPT");
      app.wire.cut();
    }
  });
});

Deno.test("[P-11.4] pairs of producer and topic are bounded over all producers", async () => {
  await withLimits({ sequences: 30 }, async (world) => {
    const apps = await Promise.all(
      ["a", "b", "c", "d"].map((name) => attach(world, name)),
    );
    for (const app of apps.slice(0, 3)) {
      for (let n = 0; n < 10; n++) {
        assert.equal(await publish(app, `t/${n}`), "RECEIPT");
      }
    }
    assert.equal(await publish(apps[3], "t/1"), "storage_full");
    assert.equal(await publish(apps[0], "t/1"), "RECEIPT");
    await apps[1].ask({ type: "DETACH", ref: 1 });
    assert.equal(await publish(apps[3], "t/2"), "RECEIPT");
  });
});

Deno.test("[P-11.4] topics are bounded, and those that are known go on", async () => {
  await withLimits({ topics: 10 }, async (world) => {
    const app = await attach(world, "ana");
    for (let n = 0; n < 10; n++) await publish(app, `t/${n}`);
    assert.equal(await publish(app, "t/10"), "storage_full");
    assert.equal(await publish(app, "t/9"), "RECEIPT");
  });
});

Deno.test("[P-11.4] the parts of a bundle count together", async () => {
  const bundles = { takesBundles: true };
  const records = ["a", "b", "a", "c", "d", "e", "f"].map((topic, n) =>
    [topic, n] as const
  );
  const accepted = async (world: World, first = "ana") => {
    const app = await App.attach(world, world.connect(bundles), first);
    const answers = await app.publishBundle(records);
    assert.ok(
      Object.values(answers).every((each) =>
        each === "RECEIPT" || each === "storage_full"
      ),
    );
    return Object.keys(answers).filter((each) => answers[each] === "RECEIPT");
  };
  await withLimits({ topics: 4 }, async (world) => {
    assert.deepEqual(await accepted(world), ["a", "b", "c", "d"]);
    // Of another producer's, those that are there.
    assert.deepEqual(await accepted(world, "ben"), ["a", "b", "c", "d"]);
  });
  await withLimits({ topicsPerProducer: 3 }, async (world) => {
    assert.deepEqual(await accepted(world), ["a", "b", "c"]);
    assert.deepEqual(await accepted(world, "ben"), ["a", "b", "c"]);
  });
  await withLimits({ sequences: 8 }, async (world) => {
    assert.equal((await accepted(world)).length, 6);
    assert.deepEqual(await accepted(world, "ben"), ["a", "b"]);
  });
  await withLimits({ readers: 4 }, async (world) => {
    for (const name of ["r1", "r2"]) {
      await (await attach(world, name)).subscribe("#");
    }
    assert.deepEqual(await accepted(world), ["a", "b"]);
    assert.deepEqual(await accepted(world, "ben"), ["a", "b"]);
  });
});

Deno.test("[P-11.1] users are bounded over all machines", async () => {
  await withLimits({ users: 3 }, async (world) => {
    const apps = await Promise.all(
      ["a", "b", "c"].map((name) => attach(world, name)),
    );
    const wire = world.connectDaemon("north");
    const one = await App.attach(world, wire, "d");
    assert.equal(await codeOf(world, wire), "storage_full");
    await apps[0].ask({ type: "DESTROY", name: "a", incarnation: null });
    wire.clear();
    await one.attachAgain();
    assert.equal(await codeOf(world, wire), undefined);
  });
});

Deno.test("[P-11.2] subscriptions are bounded over all users", async () => {
  await withLimits({ subscriptions: 4 }, async (world) => {
    const ana = await attach(world, "ana");
    const ben = await attach(world, "ben");
    for (const app of [ana, ben]) {
      assert.equal(await app.subscribe("a"), "OK");
      assert.equal(await app.subscribe("b"), "OK");
    }
    assert.equal(await ana.subscribe("c"), "storage_full");
    await ben.ask({ type: "UNSUBSCRIBE", ref: 1, filter: "a" });
    assert.equal(await ana.subscribe("c"), "OK");
    await ben.ask({ type: "DESTROY", name: "ben", incarnation: null });
    assert.equal(await ana.subscribe("d"), "OK");
    assert.equal(await ana.subscribe("e"), "storage_full");
  });
});

Deno.test("[P-11.2] pairs of user and topic are bounded, whoever brings them about", async () => {
  await withLimits({ readers: 12 }, async (world) => {
    const readers = await Promise.all(
      ["a", "b", "c"].map((name) => attach(world, name)),
    );
    for (const app of readers) await app.subscribe("#");
    const writer = await attach(world, "w");
    for (let n = 0; n < 4; n++) {
      assert.equal(await publish(writer, `t/${n}`), "RECEIPT");
    }
    assert.equal(await publish(writer, "t/4"), "storage_full");
    assert.equal(await publish(writer, "t/3"), "RECEIPT");
    assert.equal(
      await writer.subscribe("t/+", { from: "earliest" }),
      "storage_full",
    );
    await readers[0].ask({ type: "DESTROY", name: "a", incarnation: null });
    assert.equal(await publish(writer, "t/5"), "RECEIPT");
  });
});
