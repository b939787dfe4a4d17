import assert from "node:assert/strict";
import { Mom } from "../../daemon/client.ts";
import { systemEntropy } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { rejection, rejectionCode, ScriptedServer } from "./scripted_server.ts";

Deno.test("connect() attaches a new unnamed user, with no credit yet", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const hello = await server.next("HELLO");
  assert.deepEqual([hello.role, hello.machine, hello.machineKey], [
    "app",
    null,
    null,
  ]);
  const attach = await server.next("ATTACH");
  assert.match(attach.name, /^anon-[0-9a-f]{16}$/);
  assert.deepEqual([attach.ref, attach.named, attach.create], [1, false, true]);
  assert.deepEqual([attach.credit, attach.known], [0, []]);
  assert.equal(mom.user, `${attach.name}@north`);
});

Deno.test("connect() proves the token", async () => {
  await using server = new ScriptedServer("0123456789abcdef");
  const mom = await server.connect({ name: "ana" });
  assert.equal(mom.user, "ana@north");
  assert.equal(
    await rejectionCode(server.connect({ token: "fedcba9876543210" })),
    "unauthorized",
  );
});

Deno.test("connect() rejects at once with what trying again does not help against", async () => {
  await using server = new ScriptedServer();
  for (const code of ["name_in_use", "user_expired", "unsupported"] as const) {
    server.script = (message, peer) => {
      if (message.type !== "ATTACH") return false;
      peer.refuse(
        new MomError(code, "Cannot attach: a script says so"),
        message.request,
      );
      return true;
    };
    assert.equal(await rejectionCode(server.connect({ name: "ana" })), code);
  }
});

Deno.test("connect() tries again after an error that may pass", async () => {
  await using server = new ScriptedServer();
  server.script = (message, peer) => {
    if (message.type !== "ATTACH" || server.count("ATTACH") > 2) return false;
    peer.refuse(
      new MomError("store_unavailable", "Cannot attach: not yet"),
      message.request,
    );
    return true;
  };
  const mom = await server.connect({ name: "ana" });
  assert.equal(mom.user, "ana@north");
  assert.equal(server.count("ATTACH"), 3);
});

Deno.test("connect() rejects with daemon_unavailable when nobody answers in time", async () => {
  await using server = new ScriptedServer();
  server.down();
  const error = await rejection(
    server.connect({ reconnectTimeoutMs: 60 }),
  ) as MomError;
  assert.equal(error.code, "daemon_unavailable");
  assert.match(error.message, /127\.0\.0\.1:6270/);
  assert.match((error.cause as Error).message, /connection refused/);
});

Deno.test("connect() rejects in time when the other side says nothing at all", async () => {
  await using server = new ScriptedServer();
  server.network.listen({ path: "/silent" });
  const silent = server.connect({
    daemon: { path: "/silent" },
    reconnectTimeoutMs: 60,
  });
  assert.equal(await rejectionCode(silent), "daemon_unavailable");
});

Deno.test("connect() refuses wrong options without a connection", async () => {
  const wrong: [unknown, string][] = [
    [{ name: "a b" }, "name_invalid"],
    [{ name: "" }, "name_invalid"],
    [{ name: "a".repeat(65) }, "name_invalid"],
    [{ name: 5 }, "TypeError"],
    [5, "TypeError"],
    [null, "TypeError"],
    [{ daemon: "nowhere" }, "option_invalid"],
    [{ daemon: 7 }, "TypeError"],
    [{ daemon: "a:1", broker: "b:1" }, "option_invalid"],
    [{ reconnectTimeoutMs: -1 }, "option_invalid"],
    [{ reconnectTimeoutMs: NaN }, "option_invalid"],
    [{ reconnectTimeoutMs: "1" }, "TypeError"],
    [{ token: 1 }, "TypeError"],
    [{ token: "short" }, "option_invalid"],
    [{ dialer: {} }, "TypeError"],
  ];
  for (const [options, expected] of wrong) {
    const code = await rejectionCode(Mom.connect(options as never));
    assert.equal(code, expected, Deno.inspect(options));
  }
});

Deno.test("Mom is made by connect() alone", () => {
  assert.throws(
    () => new (Mom as unknown as new () => Mom)(),
    { name: "TypeError", message: /Mom\.connect/ },
  );
});

Deno.test("a handle comes back by itself as the same user and the same handle", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({ name: "ana" });
  const news = mom.events();
  const first = await server.next("ATTACH");
  server.cut();
  const second = await server.next("ATTACH");
  assert.deepEqual(second.handle, first.handle);
  assert.deepEqual(second.incarnation, first.incarnation);
  assert.deepEqual([first.create, second.create], [true, false]);
  const types: string[] = [];
  for await (const { type } of news) {
    types.push(type);
    if (type === "up") break;
  }
  assert.deepEqual(types, ["down", "connecting", "up"]);
});

Deno.test("a handle whose user ended meanwhile says so in every call", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({ name: "ana" });
  const waiting = rejectionCode(mom.receive());
  server.script = (message, peer) => {
    if (message.type !== "ATTACH") return false;
    peer.refuse(
      new MomError("user_expired", "Cannot attach: too late"),
      message.request,
    );
    return true;
  };
  server.cut();
  assert.equal(await waiting, "user_expired");
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
  ) assert.equal(await rejectionCode(call), "user_expired");
  await mom.close();
});

Deno.test("subscribe() and unsubscribe() ask with what they are told", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  assert.equal(await mom.subscribe("a/+"), true);
  await mom.subscribe("b", { from: { offset: 7 }, ack: "manual", echo: true });
  await mom.subscribe("c", { from: { time: new Date(1_000) } });
  await mom.subscribe("d", { from: "earliest" });
  await mom.unsubscribe("a/+");
  const asked = server.heard.filter(({ type }) => type === "SUBSCRIBE")
    .map((message) => {
      assert.ok(message.type === "SUBSCRIBE");
      const { filter, from, fromValue, manual, echo } = message;
      return [filter, from, fromValue, manual, echo];
    });
  assert.deepEqual(asked, [
    ["a/+", "now", 0, false, false],
    ["b", "offset", 7, true, true],
    ["c", "time", 1_000, false, false],
    ["d", "earliest", 0, false, false],
  ]);
  assert.equal((await server.next("UNSUBSCRIBE")).filter, "a/+");
});

Deno.test("subscribe() tells a duplicate as an error, with ifNew as false", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.script = (message, peer) => {
    if (message.type !== "SUBSCRIBE") return false;
    peer.refuse(
      new MomError("already_subscribed", "Cannot subscribe: again"),
      message.request,
    );
    return true;
  };
  assert.equal(await rejectionCode(mom.subscribe("t")), "already_subscribed");
  assert.equal(await mom.subscribe("t", { ifNew: true }), false);
});

Deno.test("subscribe() refuses wrong arguments and asks nobody", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const wrong: [unknown, unknown, string][] = [
    ["a b", {}, "filter_invalid"],
    ["a/#/b", {}, "filter_invalid"],
    [7, {}, "TypeError"],
    ["a", 7, "TypeError"],
    ["a", { from: "soon" }, "option_invalid"],
    ["a", { from: { offset: -1 } }, "option_invalid"],
    ["a", { from: { time: new Date(NaN) } }, "option_invalid"],
    ["a", { from: { time: 5 } }, "TypeError"],
    ["a", { ack: "auto" }, "option_invalid"],
    ["a", { echo: "yes" }, "TypeError"],
    ["a", { ifNew: 1 }, "TypeError"],
  ];
  for (const [filter, options, expected] of wrong) {
    const code = await rejectionCode(
      mom.subscribe(filter as never, options as never),
    );
    assert.equal(code, expected, Deno.inspect([filter, options]));
  }
  assert.equal(server.count("SUBSCRIBE"), 0);
});

Deno.test("subscribe() whose answer is lost asks again, and its own first success is one", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.script = (message, peer) => {
    if (message.type !== "SUBSCRIBE") return false;
    if (server.count("SUBSCRIBE") === 1) server.cut();
    else {
      peer.refuse(
        new MomError("already_subscribed", "Cannot subscribe: again"),
        message.request,
      );
    }
    return true;
  };
  assert.equal(await mom.subscribe("t"), true);
  assert.equal(server.count("SUBSCRIBE"), 2);
});

Deno.test("calls reject with daemon_unavailable after reconnectTimeoutMs, and work again afterwards", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({ reconnectTimeoutMs: 80 });
  const blocked = rejectionCode(mom.receive());
  const news = mom.events();
  server.down();
  await news.next();
  const codes = Promise.all([
    rejectionCode(mom.subscribe("t")),
    rejectionCode(mom.receive()),
    rejectionCode(mom.publish("t", 1)),
    rejectionCode(mom.publishMany("u", [1, 2])),
    rejectionCode(mom.destroy()),
  ]);
  const begun = performance.now();
  assert.equal(await blocked, "daemon_unavailable");
  assert.deepEqual(new Set(await codes), new Set(["daemon_unavailable"]));
  assert.ok(performance.now() - begun < 2_000);
  server.up();
  assert.equal((await mom.publish("t", 2)).level, "broker");
  const publish = await server.next("PUBLISH");
  // What was answered "unavailable" left a hole and never comes.
  assert.deepEqual([publish.previous, publish.firstSequence, publish.count], [
    0,
    2,
    1,
  ]);
  assert.equal(await mom.subscribe("t"), true);
});

Deno.test("a handle that waits for little tries again within half of that time", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({
    reconnectTimeoutMs: 400,
    entropy: { ...systemEntropy, fraction: () => 1 },
  });
  const news = mom.events();
  server.down();
  const waits: number[] = [];
  for await (const { type, retryInMs } of news) {
    if (type === "down") waits.push(retryInMs!);
    if (waits.length === 4) break;
  }
  assert.deepEqual(waits, [100, 200, 200, 200]);
  server.up();
  await mom.publish("t", 1);
});
