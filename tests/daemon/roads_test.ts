import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../protocol/clock.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { type Message, OUTCOME } from "../../protocol/messages.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { withLowerLimits } from "../helpers/lower_limits.ts";
import { RawBroker } from "../fuzz/raw_broker.ts";
import { decodeRecord, encodeRecord } from "../../protocol/record.ts";
import { contentStart } from "../../protocol/batch.ts";
import type { DaemonOptions } from "../../daemon/options.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import {
  BROKER,
  delivery,
  EPOCH,
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "./wire_parts.ts";

const LOG = EPOCH * 2 ** 21 + 4;

function textOf(batch: Uint8Array): unknown {
  return decodeRecord(batch.subarray(contentStart(batch, 0))).value;
}

async function openAll(name = "ana", options: Partial<DaemonOptions> = {}) {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network, options);
  const connect = (app: ScriptedApp) =>
    app.connect(network, formatAddress(daemon.address), daemon.token);
  const app = await connect(new ScriptedApp(name));
  return {
    network,
    broker,
    daemon,
    app,
    connect,
    [Symbol.asyncDispose]: async () => {
      await app.close();
      await daemon.stop();
      await broker.stop();
    },
  };
}

Deno.test("Daemon passes a publish on and answers with the broker's receipt", async () => {
  await using all = await openAll();
  const { app, broker } = all;
  await app.attach(0);
  const request = app.publish("doors", 1, "open");
  const { user } = await broker.tape.next("INTRODUCE");
  const passed = await broker.tape.next("PUBLISH");
  assert.equal(user, "ana");
  assert.equal(textOf(passed.batch), "open");
  broker.peer!.send({
    type: "RECEIPT",
    request: passed.request,
    level: 1,
    offset: 7,
  });
  const receipt = await app.tape.next("RECEIPT");
  assert.deepEqual(receipt, { type: "RECEIPT", request, level: 1, offset: 7 });
});

Deno.test("Daemon answers with level daemon when the link shows no progress", async () => {
  await using all = await openAll();
  const { app, broker } = all;
  await app.attach(0);
  const request = app.publish("doors", 1, "open", 1);
  const passed = await broker.tape.next("PUBLISH");
  assert.deepEqual(await app.tape.next("RECEIPT"), {
    type: "RECEIPT",
    request,
    level: 0,
    offset: null,
  });
  broker.peer!.send({
    type: "RECEIPT",
    request: passed.request,
    level: 1,
    offset: 7,
  });
  assert.equal((await app.tape.next("RECEIPT")).level, 1);
  assert.equal(all.daemon.status().outbox?.messages, 0);
});

Deno.test("Daemon keeps publishes while there is no link and sends them in order after it", async () => {
  await using all = await openAll();
  const { app, broker, network } = all;
  await app.attach(0);
  app.publish("doors", 1, "one");
  await broker.tape.next("PUBLISH");
  const again = broker.nextLink();
  network.cut("127.0.0.1:7000");
  app.publish("doors", 2, "two");
  assert.equal((await app.tape.next("RECEIPT")).level, 0);
  assert.equal((await app.tape.next("RECEIPT")).level, 0);
  const link = await again;
  const sent: unknown[] = [];
  for (let i = 0; i < 2; i++) {
    const { batch, firstSequence, previous, request } = await broker.tape.next(
      "PUBLISH",
    );
    sent.push([textOf(batch), previous, firstSequence]);
    link.send({ type: "RECEIPT", request, level: 1, offset: i });
  }
  assert.deepEqual(sent, [["one", 0, 1], ["two", 1, 2]]);
  app.publish("doors", 3, "three");
  const { request } = await broker.tape.next("PUBLISH");
  link.send({ type: "RECEIPT", request, level: 1, offset: 2 });
  assert.equal((await app.tape.next("RECEIPT")).level, 1);
});

Deno.test("Daemon hands a delivery straight to a handle that takes", async () => {
  await using all = await openAll();
  const { app, broker } = all;
  await app.attach(1 << 20);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "open"));
  const got = await app.tape.next("DELIVER");
  assert.equal(textOf(got.batch), "open");
  app.peer.send({
    type: "ACK",
    ref: 1,
    number: 1,
    outcomes: [OUTCOME.delivered, LOG, 0, 1],
  });
  const ack = await broker.tape.next("ACK");
  assert.deepEqual(ack.outcomes, [OUTCOME.delivered, LOG, 0, 1]);
  assert.equal(app.tape.types().includes("CONFIRM"), false);
  broker.peer!.send({ type: "CONFIRM", ref, number: ack.number });
  assert.equal((await app.tape.next("CONFIRM")).number, 1);
  assert.equal(all.daemon.status().inbox?.messages, 0);
});

Deno.test("Daemon takes custody of what nobody waits for and reports it taken later", async () => {
  await using all = await openAll();
  const { app, broker } = all;
  await app.attach(0);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "open"));
  const custody = await broker.tape.next("ACK");
  assert.deepEqual(custody.outcomes, [OUTCOME.custody, LOG, 0, 1]);
  assert.equal(all.daemon.status().inbox?.messages, 1);
  app.peer.send({ type: "CREDIT", ref: 1, total: 1000 });
  assert.equal(textOf((await app.tape.next("DELIVER")).batch), "open");
  app.peer.send({
    type: "ACK",
    ref: 1,
    number: 1,
    outcomes: [OUTCOME.delivered, LOG, 0, 1],
  });
  assert.equal((await app.tape.next("CONFIRM")).number, 1);
  const taken = await broker.tape.next("ACK");
  assert.deepEqual(taken.outcomes, [OUTCOME.delivered, LOG, 0, 1]);
  assert.equal(all.daemon.status().inbox?.messages, 0);
});

Deno.test("Daemon asks again for what a lost handle did not take, and marks it", async () => {
  await using all = await openAll();
  const { app, broker, connect } = all;
  await app.attach(1 << 20);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "open"));
  await app.tape.next("DELIVER");
  app.peer.abort();
  const again = await broker.tape.next("ATTACH");
  assert.deepEqual(again.known, []);
  broker.peer!.send(delivery(ref, 0, "open"));
  const other = await connect(new ScriptedApp("ana"));
  const suspect = await other.attach(1 << 20);
  const got = await other.tape.next("DELIVER");
  assert(got.position <= suspect);
  await other.close();
});

Deno.test("Daemon does not push again what a returning handle took or holds", async () => {
  await using all = await openAll();
  const { app, broker, connect } = all;
  await app.attach(1 << 20);
  const { ref } = await broker.tape.next("ATTACH");
  for (let i = 0; i < 3; i++) broker.peer!.send(delivery(ref, i, `m${i}`));
  for (let i = 0; i < 3; i++) await app.tape.next("DELIVER");
  app.peer.abort();
  await broker.tape.next("ATTACH");
  for (let i = 0; i < 3; i++) broker.peer!.send(delivery(ref, i, `m${i}`));
  const same = await connect(
    new ScriptedApp("ana", app.handle, app.incarnation),
  );
  const known = [OUTCOME.delivered, LOG, 0, 1, OUTCOME.held, LOG, 1, 2];
  assert.equal(await same.attach(1 << 20, known, false), 0);
  const got = await same.tape.next("DELIVER");
  assert.deepEqual([got.baseOffset, textOf(got.batch)], [2, "m2"]);
  assert.equal(await same.peer.ping(1000), true);
  assert.deepEqual(same.tape.types(), []);
  await same.close();
});

Deno.test("Daemon keeps what an app took while there is no link and lists it on the next", async () => {
  await using all = await openAll();
  const { app, broker, network } = all;
  await app.attach(1 << 20);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "open"));
  await app.tape.next("DELIVER");
  const again = broker.nextLink();
  network.down();
  app.peer.abort();
  network.up();
  const link = await again;
  const { known } = await broker.tape.next("ATTACH");
  assert.deepEqual(known, []);
  link.send(delivery(ref, 0, "open"));
  assert.deepEqual((await broker.tape.next("ACK")).outcomes, [
    OUTCOME.custody,
    LOG,
    0,
    1,
  ]);
});

Deno.test("Daemon refuses a second handle of a name that is alive", async () => {
  await using all = await openAll();
  const { app, connect } = all;
  await app.attach(0);
  const other = await connect(new ScriptedApp("ana"));
  const attaching = assert.rejects(other.attach(0), /no ATTACHED/);
  assert.equal((await other.tape.next("ERROR")).code, "name_in_use");
  await attaching;
  await other.close();
});

Deno.test("Daemon forwards a destroy made while there was no link before a new user of the name", async () => {
  await using all = await openAll();
  const { app, broker, network, connect } = all;
  await app.attach(0);
  const { incarnation } = await broker.tape.next("ATTACH");
  assert.equal(await app.peer.ping(1000), true);
  network.cut("127.0.0.1:7000");
  const again = broker.nextLink();
  app.peer.send({
    type: "DESTROY",
    request: 50,
    name: "ana",
    incarnation: null,
  });
  await app.tape.next("OK");
  const next = await connect(new ScriptedApp("ana"));
  await next.attach(0);
  await again;
  const destroy = await broker.tape.next("DESTROY");
  assert.deepEqual(
    new Uint8Array(destroy.incarnation!),
    new Uint8Array(incarnation),
  );
  const attach = await broker.tape.next("ATTACH");
  assert.deepEqual(new Uint8Array(attach.incarnation), next.incarnation);
  assert.equal(attach.create, true);
  await next.close();
});

Deno.test("Daemon repeats a destroy that was not answered without hitting who has the name by now", async () => {
  const network = new MemoryNetwork();
  await using daemon = await startDaemon(network);
  const asked: (Message & { type: "DESTROY" })[] = [];
  const connect = (app: ScriptedApp) =>
    app.connect(network, formatAddress(daemon.address), daemon.token);
  const first = await connect(new ScriptedApp("ana"));
  await first.attach(0);
  first.peer.send({
    type: "DESTROY",
    request: 50,
    name: "ana",
    incarnation: null,
  });
  await first.tape.next("OK");
  const next = await connect(new ScriptedApp("ana"));
  await next.attach(0);
  const { promise: isDone, resolve: done } = Promise.withResolvers<void>();
  const broker = new RawBroker(network.listen(BROKER), {
    serve: async (peer) => {
      const destroy = await peer.next("DESTROY");
      if (destroy === null) return;
      asked.push(destroy);
      // The newcomer is there from here on, and no answer arrives.
      await peer.next("ATTACH");
      if (asked.length === 2) done();
    },
  });
  await isDone;
  for (const { incarnation, unless } of asked) {
    assert.equal(incarnation, null);
    assert.deepEqual(new Uint8Array(unless!), next.incarnation);
  }
  await Promise.all([first.close(), next.close()]);
  await daemon.stop();
  await broker[Symbol.asyncDispose]();
});

Deno.test("Daemon does not push what was acknowledged while its delivery was on the way", async () => {
  await using all = await openAll();
  const { app, broker } = all;
  await app.attach(1 << 20, [OUTCOME.held, LOG, 0, 1]);
  const { ref } = await broker.tape.next("ATTACH");
  app.peer.send({
    type: "ACK",
    ref: 1,
    number: 1,
    outcomes: [OUTCOME.delivered, LOG, 0, 1],
  });
  const { number } = await broker.tape.next("ACK");
  // Begun before the broker heard of the acknowledgement.
  broker.peer!.send(delivery(ref, 0, "m0"));
  broker.peer!.send({ type: "CONFIRM", ref, number });
  broker.peer!.send(delivery(ref, 1, "m1"));
  assert.equal((await app.tape.next("DELIVER")).baseOffset, 1);
  assert.equal((await app.tape.next("CONFIRM")).number, 1);
});

Deno.test("Daemon stores once what comes again while it is on its way into the inbox", async () => {
  // As large from the beginning as a window becomes.
  const windowBytesFirst = LIMITS.windowBytes;
  await withLowerLimits({ windowBytesFirst }, storeOnce);
});

async function storeOnce(): Promise<void> {
  await using all = await openAll();
  const { app, broker, connect } = all;
  await app.attach(0);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "m0"));
  await broker.tape.next("ACK");
  // So large that it takes a while, and the next waits behind it; no larger than the
  // window allows with another behind it.
  const rest = [
    delivery(ref, 1, "l".repeat(2_000_000)),
    delivery(ref, 2, "m2"),
  ];
  for (const message of rest) broker.peer!.send(message);
  assert.equal(await broker.peer!.ping(1000), true);
  app.peer.send({ type: "CREDIT", ref: 1, total: 1000 });
  await app.tape.next("DELIVER");
  app.peer.abort();
  const { known } = await broker.tape.next("ATTACH");
  assert.deepEqual(known, [OUTCOME.custody, LOG, 0, 1]);
  for (const message of rest) broker.peer!.send(message);
  broker.peer!.send(delivery(ref, 3, "m3"));
  // It lies behind all others: when it is on the disk they are.
  let last = 0;
  while (last < 4) last = (await broker.tape.next("ACK")).outcomes.at(-1)!;
  const other = await connect(new ScriptedApp("ana"));
  await other.attach(1 << 30);
  const offsets: number[] = [];
  while (offsets.at(-1) !== 3) {
    const { baseOffset, count } = await other.tape.next("DELIVER");
    for (let n = 0; n < count; n++) offsets.push(baseOffset + n);
  }
  assert.equal(await other.peer.ping(1000), true);
  assert.deepEqual([offsets, other.tape.types()], [[0, 1, 2, 3], []]);
  await other.close();
}

Deno.test("Daemon keeps a producer's order over its topics through the outbox", async () => {
  await using all = await openAll();
  const { app, broker, network } = all;
  await app.attach(0);
  const sequences = new Map<string, number>();
  const publish = (topic: string, text: string) => {
    const sequence = (sequences.get(topic) ?? 0) + 1;
    sequences.set(topic, sequence);
    app.publish(topic, sequence, text);
  };
  const order = ["a", "b", "a", "c", "b", "a"];
  order.forEach((topic, index) => publish(topic, `${index}`));
  for (const _ of order) await broker.tape.next("PUBLISH");
  const again = broker.nextLink();
  network.cut("127.0.0.1:7000");
  const link = await again;
  publish("d", "6");
  const seen: unknown[] = [];
  while (seen.length < 7) {
    const { batch, request } = await broker.tape.next("PUBLISH");
    seen.push(textOf(batch));
    link.send({ type: "RECEIPT", request, level: 1, offset: null });
  }
  assert.deepEqual(seen, ["0", "1", "2", "3", "4", "5", "6"]);
});

Deno.test("Daemon tells that a producer ended only when its disk holds nothing of it", async () => {
  await using all = await openAll();
  const { app, broker, network, connect } = all;
  await app.attach(0);
  const other = await connect(new ScriptedApp("ben"));
  await other.attach(0);
  const again = broker.nextLink();
  network.cut("127.0.0.1:7000");
  other.publish("doors", 1, "other");
  await other.tape.next("RECEIPT");
  app.publish("doors", 1, "mine");
  await app.tape.next("RECEIPT");
  app.peer.send({ type: "DETACH", request: 9, ref: 1 });
  await app.tape.next("OK");
  const link = await again;
  const [first, second] = [
    await broker.tape.next("PUBLISH"),
    await broker.tape.next("PUBLISH"),
  ];
  assert.deepEqual([first, second].map(({ batch }) => textOf(batch)), [
    "other",
    "mine",
  ]);
  const receipt = { type: "RECEIPT", level: 1, offset: null } as const;
  link.send({ ...receipt, request: second.request });
  // Whatever comes behind is behind ENDED, had it been sent: the outbox still begins
  // with what the other handle waits for.
  other.publish("windows", 1, "behind");
  assert.equal(textOf((await broker.tape.next("PUBLISH")).batch), "behind");
  assert(!broker.tape.types().includes("ENDED"));
  link.send({ ...receipt, request: first.request });
  const { producer } = await broker.tape.next("ENDED");
  assert.deepEqual(producer.toHex(), app.handle.toHex());
  await other.close();
});

Deno.test("Daemon turns a handle away whose name another one took while it was away", async () => {
  await using all = await openAll();
  const { app, network, daemon, connect } = all;
  await app.attach(0);
  await app.close();
  const other = await connect(new ScriptedApp("ana"));
  await other.attach(0);
  await other.close();
  await app.connect(network, formatAddress(daemon.address), daemon.token);
  app.peer.send({
    type: "ATTACH",
    request: 3,
    ref: 1,
    name: "ana",
    named: true,
    incarnation: app.incarnation,
    create: false,
    handle: app.handle,
    credit: 0,
    known: [],
  });
  const { code, message } = await app.tape.next("ERROR");
  assert.equal(code, "user_expired");
  assert.match(message, /another handle took the name/);
});

Deno.test("[P-5.8] Daemon ends an unnamed user and its producer when its handle stays away", async () => {
  // A minute passes in a second. A jump would be a daemon that stood still.
  const SPEED = 60;
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() * SPEED,
    setTimer: (ms, callback) => systemClock.setTimer(ms / SPEED, callback),
  };
  await using all = await openAll("ana", { clock, heartbeatMs: 3_600_000 });
  const { app, broker } = all;
  await app.attach(0, [], true, false);
  app.publish("doors", 1, "open");
  const { request } = await broker.tape.next("PUBLISH");
  broker.peer!.send({ type: "RECEIPT", request, level: 1, offset: 0 });
  await app.tape.next("RECEIPT");
  await app.close();
  assert.equal((await broker.tape.next("DESTROY")).name, "ana");
  const { producer } = await broker.tape.next("ENDED");
  assert.equal(producer.toHex(), app.handle.toHex());
});

Deno.test("Daemon gives back all of a stream that is out of sequence, and stores none of it behind a gap", async () => {
  await using all = await openAll();
  const { app, broker, network } = all;
  await app.attach(0);
  const publish = (firstSequence: number, previous: number) => {
    app.peer.send({
      type: "PUBLISH",
      request: 100 + firstSequence,
      topic: "doors",
      producer: app.handle,
      previous,
      firstSequence,
      count: 1,
      attributes: null,
      batch: encodeRecord(`m${firstSequence}`),
      wanted: undefined,
    });
  };
  publish(5, 4);
  publish(6, 5);
  const { request, firstSequence } = await broker.tape.next("PUBLISH");
  assert.equal(firstSequence, 5);
  broker.peer!.send({
    type: "ERROR",
    request,
    code: "out_of_sequence",
    message: "the last is 2",
    details: new Map([["last", 2]]),
  });
  for (const asked of [105, 106]) {
    assert.equal((await app.tape.next("ERROR")).request, asked);
  }
  network.cut(BROKER);
  publish(5, 2);
  publish(6, 5);
  for (const asked of [105, 106]) {
    const receipt = await app.tape.next("RECEIPT");
    assert.deepEqual([receipt.request, receipt.level], [asked, 0]);
  }
  const seen = new Set<number>();
  while (seen.size < 2) {
    const sent = await broker.tape.next("PUBLISH");
    broker.peer!.send({
      type: "RECEIPT",
      request: sent.request,
      level: 1,
      offset: null,
    });
    seen.add(sent.firstSequence);
  }
  assert.deepEqual([...seen], [5, 6]);
});

Deno.test("Daemon keeps the order when a handle that stood still is lost with what it was pushed", async () => {
  const time = new FakeClock();
  await using all = await openAll("ana", { clock: time });
  const { app, broker, connect } = all;
  await app.attach(60);
  const { ref } = await broker.tape.next("ATTACH");
  // The first one takes all room there is; the others wait.
  for (const offset of [0, 1, 2]) {
    broker.peer!.send(delivery(ref, offset, `${offset} and more`));
  }
  await app.tape.next("DELIVER");
  await time.run(1_000);
  const inCustody = all.daemon.status().inbox?.messages ?? 0;
  await app.close();
  await broker.tape.next("ATTACH");
  for (const offset of [0, 1, 2].slice(0, 3 - inCustody)) {
    broker.peer!.send(delivery(ref, offset, `${offset} and more`));
  }
  const back = await connect(
    new ScriptedApp("ana", app.handle, app.incarnation),
  );
  await back.attach(1 << 20);
  const offsets: number[] = [];
  while (offsets.length < 3) {
    const { baseOffset, count } = await back.tape.next("DELIVER");
    for (let n = 0; n < count; n++) offsets.push(baseOffset + n);
  }
  assert.deepEqual(offsets, [0, 1, 2]);
  await back.close();
});

Deno.test("Daemon goes on when a user ends while a message for it is on its way to the disk", async () => {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network);
  const connect = (name: string) =>
    new ScriptedApp(name).connect(
      network,
      formatAddress(daemon.address),
      daemon.token,
    );
  try {
    for (let round = 0; round < 10; round++) {
      const app = await connect(`ana${round}`);
      await app.attach(0);
      const { ref } = await broker.tape.next("ATTACH");
      broker.peer!.send(delivery(ref, 0, "late"));
      // In the turns after the append and before its commit.
      app.peer.send({
        type: "DESTROY",
        request: 99,
        name: app.name,
        incarnation: app.incarnation,
      });
      await app.tape.next("OK");
      await app.close();
    }
    const last = await connect("ben");
    await last.attach(0);
    await last.close();
  } finally {
    await daemon.stop();
    await broker.stop();
  }
});

Deno.test("Daemon gives no broker receipt for what the broker refused for good", async () => {
  await using all = await openAll();
  const { app, broker, network } = all;
  await app.attach(0);
  const again = broker.nextLink();
  network.cut("127.0.0.1:7000");
  const request = app.publish("doors", 1, "too much", 1);
  assert.equal((await app.tape.next("RECEIPT")).level, 0);
  const link = await again;
  const { request: passed } = await broker.tape.next("PUBLISH");
  link.send({
    type: "ERROR",
    request: passed,
    code: "message_too_large",
    message: "too large",
    details: null,
  });
  const error = await app.tape.next("ERROR");
  assert.deepEqual([error.request, error.code], [request, "message_too_large"]);
});
