/** An app that publishes more than daemon, disk and broker take, and another one beside it. */

import assert from "node:assert/strict";
import type { DaemonOptions } from "../../daemon/options.ts";
import { formatAddress } from "../../protocol/address.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { LEVEL } from "../../protocol/messages.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { FaultyKv } from "../storage/_faulty_kv.ts";
import { ScriptedApp, ScriptedBroker, startDaemon } from "./wire_parts.ts";

/** More than one item of the store takes. */
const LARGE = "x".repeat(60_000);

/** What lies in the network between an app and its daemon, and the message that was one too many. */
const BETWEEN_BYTES = 512 * 1024;

/** A daemon, and two apps: one that floods it and one beside it. */
async function openFlood(
  network = new MemoryNetwork(),
  options: Partial<DaemonOptions> = {},
) {
  const disk = new FaultyKv(Infinity);
  const daemon = await startDaemon(network, {
    openKv: (path) => disk.open(path),
    ...options,
  });
  const address = formatAddress(daemon.address);
  const connect = (name: string) =>
    new ScriptedApp(name).connect(network, address, daemon.token);
  const app = await connect("flood");
  const other = await connect("other");
  await app.attach(0);
  await other.attach(0);
  const flood = new Flood(app);
  return {
    network,
    disk,
    flood,
    other,
    /** Resolves when the daemon takes no more of the flood. */
    async untilUnread(): Promise<void> {
      let { sent } = flood;
      for (let same = 0; same < 20; same++) {
        assert(await other.peer.ping(2_000));
        if (flood.sent !== sent) same = 0;
        sent = flood.sent;
      }
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await other.close();
      await daemon.stop();
      await flood.done;
    },
  };
}

/** Publishes of one app, each as soon as the one before was taken. */
class Flood {
  readonly app: ScriptedApp;
  /** How many were taken. */
  sent = 0;
  done: Promise<void> = Promise.resolve();

  constructor(app: ScriptedApp) {
    this.app = app;
  }

  begin(count: number, text: string): void {
    this.done = this.#run(count, text);
  }

  async #run(count: number, text: string): Promise<void> {
    while (this.sent < count && !this.app.peer.isClosed) {
      this.app.publish("feast", this.sent + 1, text);
      await this.app.peer.drained();
      this.sent++;
    }
  }

  /** Waits for so many receipts of the daemon. */
  async receipts(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      assert.equal((await this.app.tape.next("RECEIPT")).level, LEVEL.daemon);
    }
  }
}

Deno.test("Daemon reads no more of an app than it may keep while its disk is slow, and loses nothing", async () => {
  await using all = await openFlood();
  const { disk, flood } = all;
  const { promise: moves, resolve: move } = Promise.withResolvers<void>();
  disk.onCommit = () => moves;
  const count = 150;
  flood.begin(count, LARGE);
  await all.untilUnread();
  const taken = flood.sent * LARGE.length;
  move();
  assert(
    taken <= LIMITS.laneBytes + BETWEEN_BYTES,
    `${taken} bytes were read while none could be stored`,
  );
  await flood.receipts(count);
  const broker = new ScriptedBroker(all.network);
  const sequences: number[] = [];
  while (sequences.length < count) {
    const { request, firstSequence } = await broker.tape.next("PUBLISH");
    sequences.push(firstSequence);
    broker.peer!.send({ type: "RECEIPT", request, level: 1, offset: null });
  }
  assert.deepEqual(sequences, Array.from({ length: count }, (_, n) => n + 1));
  await broker.stop();
});

Deno.test("Daemon stores a publish without waiting for another app's large ones", async () => {
  await using all = await openFlood();
  const { disk, flood, other } = all;
  const { promise: moves, resolve: move } = Promise.withResolvers<void>();
  disk.onCommit = () => moves;
  const count = 20;
  flood.begin(count, LARGE);
  await all.untilUnread();
  other.publish("pair", 1, "small");
  assert(await other.peer.ping(2_000));
  move();
  assert.equal((await other.tape.next("RECEIPT")).level, LEVEL.daemon);
  const before = flood.app.tape.types().filter((type) => type === "RECEIPT");
  assert(before.length < 3, `${before.length} of the flood went first`);
  await flood.receipts(count);
});

Deno.test("Daemon keeps a producer's order over its topics, behind a large record too", async () => {
  await using all = await openFlood();
  const { other } = all;
  other.publish("a", 1, LARGE);
  other.publish("b", 1, "small");
  other.publish("a", 2, "small");
  for (let n = 0; n < 3; n++) await other.tape.next("RECEIPT");
  const broker = new ScriptedBroker(all.network);
  const order: string[] = [];
  for (let n = 0; n < 3; n++) {
    const { topic, firstSequence } = await broker.tape.next("PUBLISH");
    order.push(`${topic} ${firstSequence}`);
  }
  assert.deepEqual(order, ["a 1", "b 1", "a 2"]);
  await broker.stop();
});

Deno.test("Daemon has little of one app on its way to the broker, so that another is not behind it", async () => {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  // The link never counts as stalled: no time passes.
  await using all = await openFlood(network, { clock: new FakeClock() });
  const { flood, other } = all;
  const text = "x".repeat(50_000);
  const count = 100;
  flood.begin(count, text);
  await all.untilUnread();
  const taken = flood.sent * text.length;
  const windowBytes = 2 * 1024 * 1024;
  assert(
    taken <= windowBytes + BETWEEN_BYTES,
    `${taken} bytes were read while the broker answered nothing`,
  );
  other.publish("pair", 1, "small");
  const topics: string[] = [];
  while (!topics.includes("pair")) {
    const { topic, request } = await broker.tape.next("PUBLISH");
    topics.push(topic);
    broker.peer!.send({ type: "RECEIPT", request, level: 1, offset: null });
  }
  assert(topics.length <= windowBytes / text.length + 2, `${topics.length}`);
  while (topics.length <= count) {
    const { topic, request } = await broker.tape.next("PUBLISH");
    topics.push(topic);
    broker.peer!.send({ type: "RECEIPT", request, level: 1, offset: null });
  }
  for (let n = 0; n < count; n++) await flood.app.tape.next("RECEIPT");
  await other.tape.next("RECEIPT");
  await broker.stop();
});
