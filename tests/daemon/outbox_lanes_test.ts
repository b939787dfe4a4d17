/** Large publishes on their way to a daemon's disk, which takes several commits for each. */

import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { LEVEL } from "../../protocol/messages.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { FaultyKv } from "../storage/_faulty_kv.ts";
import { ScriptedApp, ScriptedBroker, startDaemon } from "./wire_parts.ts";

/** More than one item of the store takes. */
const LARGE = "x".repeat(60_000);

/** A daemon without a broker, and two apps: one that floods it and one beside it. */
async function openFlood() {
  const network = new MemoryNetwork();
  const disk = new FaultyKv(Infinity);
  const daemon = await startDaemon(network, {
    openKv: (path) => disk.open(path),
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

/** Large publishes of one app, each as soon as the one before was taken. */
class Flood {
  readonly app: ScriptedApp;
  /** How many were taken. */
  sent = 0;
  done: Promise<void> = Promise.resolve();

  constructor(app: ScriptedApp) {
    this.app = app;
  }

  begin(count: number): void {
    this.done = this.#run(count);
  }

  async #run(count: number): Promise<void> {
    while (this.sent < count && !this.app.peer.isClosed) {
      this.app.publish("feast", this.sent + 1, LARGE);
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
  flood.begin(count);
  await all.untilUnread();
  const taken = flood.sent * LARGE.length;
  move();
  // What lies in the network between them, and the message that was one too many.
  const between = 512 * 1024;
  assert(
    taken <= LIMITS.laneBytes + between,
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
  flood.begin(count);
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
