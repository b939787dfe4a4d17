/** What lies in the inbox, in which order, and what a user's end leaves of it. */

import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../protocol/clock.ts";
import { OUTCOME } from "../../protocol/messages.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { eventually } from "../helpers/eventually.ts";
import {
  delivery,
  EPOCH,
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "./wire_parts.ts";

const LOG = EPOCH * 2 ** 21 + 4;
const TICK_MS = 250;

/** A daemon between a broker and apps that are played by hand. */
async function openAll(clock: Clock = systemClock) {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network, { clock });
  const apps: ScriptedApp[] = [];
  return {
    broker,
    daemon,
    async connect(name: string) {
      const app = new ScriptedApp(name);
      apps.push(app);
      const address = formatAddress(daemon.address);
      return await app.connect(network, address, daemon.token);
    },
    [Symbol.asyncDispose]: async () => {
      for (const app of apps) await app.close();
      await daemon.stop();
      await broker.stop();
    },
  };
}

Deno.test("Daemon keeps what lies in the inbox before something that is settled", async () => {
  await using all = await openAll();
  const { broker } = all;
  let app = await all.connect("ana");
  await app.attach(0);
  const { ref } = await broker.tape.next("ATTACH");
  for (let offset = 0; offset < 3; offset++) {
    broker.peer!.send(delivery(ref, offset, "open"));
    await broker.tape.next("ACK");
  }
  app.peer.send({ type: "CREDIT", ref: 1, total: 10_000 });
  for (let n = 0; n < 3; n++) await app.tape.next("DELIVER");
  const outcomes = [OUTCOME.delivered, LOG, 1, 2];
  app.peer.send({ type: "ACK", ref: 1, number: 1, outcomes });
  await app.tape.next("CONFIRM");
  for (let life = 0; life < 3; life++) {
    await app.close();
    app = await all.connect("ana");
    await app.attach(10_000);
    const first = await app.tape.next("DELIVER");
    const second = await app.tape.next("DELIVER");
    assert.deepEqual([first.baseOffset, second.baseOffset], [0, 2]);
  }
});

Deno.test("Daemon goes on when a user ends with a delivery on its way to the inbox", async () => {
  await using all = await openAll();
  const { broker } = all;
  const app = await all.connect("ana");
  await app.attach(0);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "open"));
  app.peer.send({
    type: "DESTROY",
    request: 99,
    name: "ana",
    incarnation: null,
  });
  await app.tape.next("OK");
  const another = await all.connect("ben");
  await another.attach(0);
  assert.equal(all.daemon.status().link?.state, "up");
});

Deno.test("Daemon puts nothing into the inbox behind what a handle holds for the broker", async () => {
  const time = { aheadMs: 0, ticks: 0 };
  await using all = await openAll({
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + time.aheadMs,
    setTimer: (delayMs, callback) =>
      systemClock.setTimer(delayMs, () => {
        if (delayMs === TICK_MS) time.ticks++;
        callback();
      }),
  });
  const { broker } = all;
  const app = await all.connect("ana");
  await app.attach(50);
  const { ref } = await broker.tape.next("ATTACH");
  for (let offset = 0; offset < 3; offset++) {
    broker.peer!.send(delivery(ref, offset, "open"));
  }
  await app.tape.next("DELIVER");
  time.aheadMs = 1_000;
  const seen = time.ticks;
  await eventually("two ticks", () => time.ticks >= seen + 2);
  assert.equal(broker.tape.types().includes("ACK"), false);
  assert.equal(all.daemon.status().inbox?.messages, 0);
});

Deno.test("Daemon tells of its users before it sends what they published", async () => {
  const network = new MemoryNetwork();
  await using daemon = await startDaemon(network);
  const app = new ScriptedApp("ana");
  const address = formatAddress(daemon.address);
  await app.connect(network, address, daemon.token);
  await app.attach(0);
  const broker = new ScriptedBroker(network);
  // Something is always on its way to the disk when the link comes up.
  for (let n = 1; !broker.tape.types().includes("PUBLISH"); n++) {
    assert(n < 50_000, "no link");
    app.publish("doors", n, "open");
    await app.tape.next("RECEIPT");
  }
  const types = broker.tape.types();
  assert(types.indexOf("ATTACH") < types.indexOf("INTRODUCE"), `${types}`);
  await app.close();
  await broker.stop();
});
