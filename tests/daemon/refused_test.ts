/** What the broker refuses for good after this daemon has answered for it. */

import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { ScriptedApp, ScriptedBroker, startDaemon } from "./wire_parts.ts";

Deno.test("Daemon gives no receipt of the broker for what the broker refused", async () => {
  const network = new MemoryNetwork();
  await using daemon = await startDaemon(network);
  const address = formatAddress(daemon.address);
  const app = new ScriptedApp("ana");
  await app.connect(network, address, daemon.token);
  await app.attach(0);
  const request = app.publish("doors", 1, "open", 1);
  assert.equal((await app.tape.next("RECEIPT")).level, 0);
  const broker = new ScriptedBroker(network);
  const passed = await broker.tape.next("PUBLISH");
  broker.peer!.send({
    type: "ERROR",
    request: passed.request,
    code: "message_too_large",
    message: "too large",
    details: null,
  });
  const refusal = await app.tape.next("ERROR");
  assert.deepEqual([refusal.request, refusal.code], [
    request,
    "message_too_large",
  ]);
  // Asked again, because an answer was lost, it is the same answer.
  app.publish("doors", 1, "open", 1);
  assert.equal((await app.tape.next("ERROR")).code, "message_too_large");
  assert.deepEqual(app.tape.types().filter((type) => type === "RECEIPT"), []);
  await app.close();
  await broker.stop();
});

Deno.test("Daemon refuses by itself what would not fit a frame of the broker", async () => {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network, 1_000);
  await using daemon = await startDaemon(network);
  const address = formatAddress(daemon.address);
  const app = new ScriptedApp("ana");
  await app.connect(network, address, daemon.token);
  await app.attach(0);
  const request = app.publish("doors", 1, "x".repeat(100_000));
  const refusal = await app.tape.next("ERROR");
  assert.deepEqual([refusal.request, refusal.code], [
    request,
    "message_too_large",
  ]);
  app.publish("windows", 1, "open");
  assert.equal((await broker.tape.next("PUBLISH")).topic, "windows");
  await app.close();
  await broker.stop();
});
