import assert from "node:assert/strict";
import { Broker, Daemon, Mom, type MomError } from "../../mod.ts";
import { findWrongSums } from "../../program/status.ts";
import { within } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { FaultyKv } from "../storage/_faulty_kv.ts";
import { NumberedPublisher, NumberedReader } from "./_numbers.ts";

/** How much of the commit that fails is on the disk all the same. */
const OUTCOMES = [
  ["nothing of it was written", 0],
  ["some of it was written", 1],
  ["all of it was written", Infinity],
] as const;

const HERE = { hostname: "127.0.0.1", port: 0 };

/** Opens with `faults`, and once more without when it has failed. */
function failures() {
  const { promise, resolve } = Promise.withResolvers<MomError>();
  return { failed: promise, onFailed: resolve };
}

for (const [what, operations] of OUTCOMES) {
  Deno.test(`a broker's commit fails and ${what}: it is opened again, nothing is lost or doubled`, async () => {
    await using folder = await TempFolder.make();
    const data = `${folder.path}/broker`;
    const faults = new FaultyKv(60, operations);
    const { failed, onFailed } = failures();
    const openKv = (path: string) => faults.open(path);
    const first = await Broker.start({ ...HERE, data, openKv, onFailed });
    const { token } = first;
    const broker = first.address as { hostname: string; port: number };
    const options = { broker, token, reconnectTimeoutMs: 20_000 };
    await using ana = await Mom.connect({ ...options, name: "ana" });
    await using ben = await Mom.connect({ ...options, name: "ben" });
    await ben.subscribe("doors");
    const publisher = new NumberedPublisher(ana, "doors", 500);
    const reader = new NumberedReader(ben);
    const publishing = (async () => {
      for (let i = 0; i < 100; i++) await publisher.publishMany(3);
    })();
    const taking = reader.take(Array.from({ length: 300 }, (_, i) => i));
    const { code } = await within("the failure", 20_000, failed);
    assert.equal(code, "store_unavailable");
    await first.stop();
    await using again = await Broker.start({ ...broker, data, token });
    await publishing;
    await taking;
    assert.equal(publisher.refused.size, 0, "what is unknown was refused");
    await reader.assertExactly(publisher);
    assert.deepEqual(findWrongSums(again.status()), []);
    assert.equal(again.status().totals.published, 300);
    await Promise.all([ana.close(), ben.close()]);
  });

  Deno.test(`a daemon's commit fails and ${what}: it is opened again, nothing is lost or doubled`, async () => {
    await using folder = await TempFolder.make();
    const data = `${folder.path}/north`;
    await using broker = await Broker.start({ ...HERE, data: ":memory:" });
    const faults = new FaultyKv(30, operations);
    const { failed, onFailed } = failures();
    // No link at first: all goes through the outbox.
    const base = { data, machine: "north", brokerToken: broker.token };
    const path = `${folder.path}/north.sock`;
    const first = await Daemon.start({
      ...base,
      broker: "127.0.0.1:1",
      listen: { path },
      openKv: (path) => faults.open(path),
      onFailed,
    });
    const { token } = first;
    await using ben = await Mom.connect({
      broker: broker.address,
      token: broker.token,
      name: "ben",
    });
    await ben.subscribe("doors");
    const daemon = { daemon: { path }, token, reconnectTimeoutMs: 20_000 };
    await using ana = await Mom.connect({ ...daemon, name: "ana" });
    const publisher = new NumberedPublisher(ana, "doors", 500);
    const publishing = (async () => {
      for (let i = 0; i < 60; i++) await publisher.publishMany(3);
    })();
    const { code } = await within("the failure", 20_000, failed);
    assert.equal(code, "store_unavailable");
    await first.stop();
    await using again = await Daemon.start({
      ...base,
      broker: broker.address,
      listen: { path },
      token,
    });
    await publishing;
    assert.equal(publisher.refused.size, 0, "what is unknown was refused");
    await new NumberedReader(ben).assertExactly(publisher);
    assert.equal(publisher.acknowledged.size, 180);
    assert.equal(again.status().outbox?.messages, 0);
    await Promise.all([ana.close(), ben.close()]);
  });
}
