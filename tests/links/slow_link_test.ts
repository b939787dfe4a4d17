import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { range } from "../helpers/expect.ts";
import { within } from "../helpers/eventually.ts";
import {
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "../daemon/wire_parts.ts";

async function openAll() {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network);
  const { address, token } = daemon;
  const connect = (name: string) =>
    new ScriptedApp(name).connect(network, formatAddress(address), token);
  const app = await connect("ana");
  await app.attach(0);
  return {
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

Deno.test("Daemon takes to its disk what a link that moves is too slow for", async () => {
  await using all = await openAll();
  const { app, broker } = all;
  const count = 300;
  const everyMs = 15;
  for (const number of range(count)) app.publish("t", number + 1, "x");
  let answered = 0;
  const answering = setInterval(async () => {
    if (answered >= count) return;
    const offset = answered++;
    const { request } = await broker.tape.next("PUBLISH");
    broker.peer!.send({ type: "RECEIPT", request, level: 1, offset });
  }, everyMs);
  try {
    const startMs = performance.now();
    const levels: number[] = [];
    for (const _ of range(count)) {
      levels.push((await app.tape.next("RECEIPT")).level);
    }
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < count * everyMs * 0.6, `${Math.round(tookMs)} ms`);
    assert.ok(levels.includes(1), "the link moved");
    assert.ok(levels.includes(0), "and was too slow");
  } finally {
    clearInterval(answering);
  }
});

Deno.test("Daemon holds no app up for what is under way on a link that stands", async () => {
  await using all = await openAll();
  const count = 24;
  const text = "x".repeat(1024 * 1024);
  for (const number of range(count)) all.app.publish("t", number + 1, text);
  await within(
    "receipts of more than the link's window",
    10_000,
    (async () => {
      for (const _ of range(count)) {
        assert.equal((await all.app.tape.next("RECEIPT")).level, 0);
      }
    })(),
  );
  assert.equal(all.daemon.status().outbox?.messages, count);
  // A newcomer is not put behind it, either.
  const ben = await all.connect("ben");
  await ben.attach(0);
  ben.publish("t", 1, "y");
  assert.equal((await ben.tape.next("RECEIPT")).level, 0);
  await ben.close();
});
