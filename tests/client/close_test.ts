import assert from "node:assert/strict";
import { rejectionCode, ScriptedServer } from "./scripted_server.ts";

Deno.test("close() waits for receipts and confirmations, then detaches", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  await mom.receive({ timeoutMs: 0 });
  server.script = ({ type }) => type === "PUBLISH" || type === "ACK";
  server.deliver("t", [1]);
  await mom.receive();
  const published = mom.publish("t", 2);
  const closed = mom.close();
  const publish = await server.next("PUBLISH");
  const ack = await server.next("ACK");
  server.send({
    type: "RECEIPT",
    request: publish.request,
    level: 1,
    offset: 5,
  });
  assert.equal((await published).offset, 5);
  assert.equal(server.count("DETACH"), 0);
  server.send({ type: "CONFIRM", ref: 1, number: ack.number });
  await closed;
  assert.equal(server.count("DETACH"), 1);
});

Deno.test("close() and destroy() may be called twice, and every call after says closed", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({ name: "ana" });
  const waiting = rejectionCode(mom.receive());
  const news = mom.events();
  await Promise.all([mom.close(), mom.close()]);
  await mom.close();
  assert.equal(await waiting, "closed");
  for (
    const call of [
      mom.publish("t", 1),
      mom.publishMany("t", [1]),
      mom.subscribe("t"),
      mom.unsubscribe("t"),
      mom.receive(),
      mom.receiveMany(),
      mom.destroy(),
    ]
  ) assert.equal(await rejectionCode(call), "closed");
  assert.equal((await news.next()).done, true);
  assert.equal((await mom.events().next()).done, true);
  assert.equal(server.count("DETACH"), 1);
});

Deno.test("destroy() ends the user by its identity, and closes the handle", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({ name: "ana" });
  const published = mom.publish("t", 1);
  await Promise.all([mom.destroy(), mom.destroy()]);
  assert.equal((await published).level, "broker");
  const { name, incarnation } = await server.next("DESTROY");
  assert.equal(name, "ana");
  assert.deepEqual(incarnation, (await server.next("ATTACH")).incarnation);
  assert.equal(await rejectionCode(mom.receive()), "closed");
  await mom.close();
  assert.deepEqual([server.count("DESTROY"), server.count("DETACH")], [1, 0]);
});

Deno.test("a handle that is disposed of has left", async () => {
  await using server = new ScriptedServer();
  {
    await using mom = await server.connect();
    await mom.publish("t", 1);
  }
  assert.equal(server.count("DETACH"), 1);
});

Deno.test("close() with the daemon away ends in time and tells what became of publishes", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({ reconnectTimeoutMs: 50 });
  const news = mom.events();
  server.down();
  await news.next();
  const never = rejectionCode(mom.publish("t", 1));
  await mom.close();
  assert.equal(await never, "daemon_unavailable");
});

Deno.test("events() tells of rejections, keeps 100, and counts what it drops", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const news = mom.events();
  const details = new Map<string, unknown>([
    ["topic", "t"],
    ["count", 3],
    ["code", "message_too_large"],
    ["message", "Cannot accept"],
  ]);
  for (let i = 0; i < 130; i++) {
    server.send({ type: "NOTICE", kind: "rejected", details });
  }
  server.send({ type: "NOTICE", kind: "unheard of", details: null });
  await mom.publish("t", 1);
  const first = (await news.next()).value;
  assert.deepEqual(first, {
    type: "rejected",
    reason: '3 of "t": message_too_large: Cannot accept',
    dropped: 30,
  });
  let rest = 0;
  await mom.close();
  for await (const event of news) {
    assert.equal(event.type, "rejected");
    rest++;
  }
  assert.equal(rest, 99);
});
