import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import type { MessageNamed } from "../../protocol/messages.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { range } from "../helpers/expect.ts";
import {
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "../daemon/wire_parts.ts";

/** Bytes of the outbox that may be under way (daemon/outbox/outbox.ts), and a read's more. */
const DRAIN_BYTES_MAX = 5 * 1024 * 1024;
const DRAIN_BYTES_MIN = 2 * 1024 * 1024;
const RECORD_BYTES = 50_000;

Deno.test("Daemon drains within its cap, and fresh traffic of others goes on meanwhile", async () => {
  const network = new MemoryNetwork({ bufferBytesMax: 64 * 1024 * 1024 });
  let broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network);
  const connect = async (name: string) => {
    const app = await new ScriptedApp(name).connect(
      network,
      formatAddress(daemon.address),
      daemon.token,
    );
    await app.attach(0);
    return app;
  };
  const [ana, ben] = [await connect("ana"), await connect("ben")];
  try {
    await broker.stop();
    const count = 300;
    const text = "x".repeat(RECORD_BYTES);
    for (const number of range(count)) ana.publish("t", number + 1, text);
    for (const _ of range(count)) await ana.tape.next("RECEIPT");
    broker = new ScriptedBroker(network);
    const link = await broker.nextLink();
    // What comes before the first answer is what may be under way.
    const drained: MessageNamed<"PUBLISH">[] = [];
    let bytes = 0;
    const takeOne = async () => {
      const next = await broker.tape.next("PUBLISH");
      drained.push(next);
      bytes += next.batch.length;
    };
    while (bytes < DRAIN_BYTES_MIN) await takeOne();
    // Another that was on its way, or is being read, has come by then.
    for (let turn = 0; turn < 20; turn++) await link.ping(1_000);
    while (broker.tape.types().includes("PUBLISH")) await takeOne();
    assert.ok(bytes < DRAIN_BYTES_MAX, `${bytes} bytes under way`);
    // A receipt shows that the link moves: what is fresh goes straight through.
    const answer = (request: number) =>
      link.send({ type: "RECEIPT", request, level: 1, offset: null });
    answer(drained[0].request);
    ben.publish("fresh", 1, "y");
    const seen: string[] = [];
    while (!seen.includes("fresh")) {
      const next = await broker.tape.next("PUBLISH");
      seen.push(next.topic);
      answer(next.request);
    }
    assert.ok(seen.length < 50, `${seen.length} of the outbox before it`);
    assert.equal((await ben.tape.next("RECEIPT")).level, 1);
    // And the drain has its share until it is through, in order.
    for (const { request } of drained.slice(1)) answer(request);
    let last = drained.at(-1)!.firstSequence;
    let fresh = 2;
    while (daemon.status().outbox!.messages > 0) {
      ben.publish("fresh", fresh++, "y");
      const next = await broker.tape.next("PUBLISH");
      answer(next.request);
      if (next.topic === "fresh") continue;
      assert.ok(next.firstSequence > last);
      last = next.firstSequence;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  } finally {
    await ana.close();
    await ben.close();
    await daemon.stop();
    await broker.stop();
  }
});
