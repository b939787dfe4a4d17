import assert from "node:assert/strict";
import { type Message, type Mom, topic } from "../../daemon/client.ts";
import { encodeRecord } from "../../protocol/record.ts";
import { eventually } from "../helpers/eventually.ts";
import {
  concat,
  rejection,
  rejectionCode,
  ScriptedServer,
} from "./scripted_server.ts";

const LOG = 2 ** 21 + 1;

const values = (messages: readonly Message[]) =>
  messages.map(({ value }) => value);

/** All outcomes that were acknowledged, in order, as few ranges as can be. */
function outcomes(server: ScriptedServer): number[][] {
  const rows: number[][] = [];
  for (const message of server.heard) {
    if (message.type !== "ACK") continue;
    for (let i = 0; i < message.outcomes.length; i += 4) {
      const row = message.outcomes.slice(i, i + 4);
      const last = rows.at(-1) ?? [];
      const goesOn = last[0] === row[0] && last[1] === row[1] &&
        last[3] === row[2];
      if (goesOn) last[3] = row[3]!;
      else rows.push(row);
    }
  }
  return rows;
}

/** A handle whose window is open. */
async function connect(server: ScriptedServer, options = {}): Promise<Mom> {
  const mom = await server.connect(options);
  await mom.receive({ timeoutMs: 0 });
  return mom;
}

Deno.test("a handle that never receives gives no credit, the first receive opens the window", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  await mom.subscribe("t");
  assert.equal(server.count("CREDIT"), 0);
  assert.equal(await mom.receive({ timeoutMs: 0 }), null);
  const { ref, total } = await server.next("CREDIT");
  assert.deepEqual([ref, total], [1, 256 * 1024]);
});

Deno.test("receive() hands over messages in order, with all that is known of them", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliverBytes("t", encodeRecord("one", { by: "ben" }), 1, {
    baseOffset: 7,
  });
  server.deliver("u", [2]);
  const first = await mom.receive();
  assert.ok(first !== null);
  const { ack: _, ...rest } = first;
  assert.deepEqual(rest, {
    topic: "t",
    sender: "ben@south",
    offset: 7,
    time: 1_700_000_000_000,
    headers: { by: "ben" },
    value: "one",
    redelivered: false,
  });
  const second = await mom.receive();
  assert.deepEqual([second?.topic, second?.value, second?.headers], [
    "u",
    2,
    {},
  ]);
});

Deno.test("taking acknowledges, and what is taken in a row goes as one range", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliver("t", [1, 2, 3]);
  server.deliver("t", [4]);
  server.deliver("u", [5], { logId: LOG + 1 });
  assert.deepEqual(values(await mom.receiveMany({ max: 10 })), [1, 2, 3, 4, 5]);
  const ack = await server.next("ACK");
  assert.deepEqual([ack.ref, ack.number], [1, 1]);
  assert.deepEqual(ack.outcomes, [2, LOG, 0, 4, 2, LOG + 1, 0, 1]);
});

Deno.test("what was pushed but not taken is not acknowledged", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliver("t", [1, 2, 3]);
  assert.equal((await mom.receive())?.value, 1);
  await mom.close();
  assert.deepEqual(outcomes(server), [[2, LOG, 0, 1]]);
});

Deno.test("receive() waits, and those who wait are served in turn", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  const waiting = [
    mom.receive(),
    mom.receive(),
    mom.receiveMany({ max: 2 }),
    mom.receive(),
  ];
  server.deliver("t", [1, 2, 3, 4, 5]);
  const [one, two, many, five] = await Promise.all(waiting);
  assert.deepEqual([(one as Message).value, (two as Message).value], [1, 2]);
  assert.deepEqual(values(many as Message[]), [3, 4]);
  assert.equal((five as Message).value, 5);
});

Deno.test("receive() that times out or is aborted takes nothing", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  const stop = new AbortController();
  const aborted = rejection(mom.receive({ signal: stop.signal }));
  assert.equal(await mom.receive({ timeoutMs: 10 }), null);
  assert.deepEqual(await mom.receiveMany({ timeoutMs: 10 }), []);
  stop.abort(new Error("enough"));
  assert.equal((await aborted).message, "enough");
  const gone = AbortSignal.abort(new Error("before"));
  assert.equal(
    (await rejection(mom.receive({ signal: gone }))).message,
    "before",
  );
  server.deliver("t", [1]);
  assert.equal((await mom.receive())?.value, 1);
});

Deno.test("receive() refuses wrong options", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  const wrong: [unknown, string][] = [
    [5, "TypeError"],
    [{ timeoutMs: "1" }, "TypeError"],
    [{ timeoutMs: -1 }, "option_invalid"],
    [{ timeoutMs: NaN }, "option_invalid"],
    [{ signal: "x" }, "TypeError"],
    [{ max: 0 }, "option_invalid"],
    [{ max: "1" }, "TypeError"],
  ];
  for (const [options, expected] of wrong) {
    assert.equal(
      await rejectionCode(mom.receiveMany(options as never)),
      expected,
      Deno.inspect(options),
    );
  }
});

Deno.test("messages up to the suspect position, or marked so, are redelivered", async () => {
  await using server = new ScriptedServer();
  server.suspect = 10;
  const mom = await connect(server);
  server.deliver("t", [1], { position: 10 });
  server.deliver("t", [2], { position: 11 });
  server.deliver("t", [3], { position: 12, targets: [2, 0, 1, 2] });
  server.deliver("t", [4], { position: 13, targets: [2, 0] });
  const got = [await mom.receive(), await mom.receive(), await mom.receive()];
  assert.deepEqual(got.map((each) => each?.redelivered), [true, false, true]);
  // What is for another user of the connection is not handed over.
  assert.equal(await mom.receive({ timeoutMs: 20 }), null);
});

Deno.test("ack() of a manual message resolves with the confirmation that covers it, twice or not", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.script = (message) => message.type === "ACK";
  server.deliver("t", [1, 2, 3], { targets: [1, 1] });
  const [one, two, three] = await mom.receiveMany();
  const done: string[] = [];
  const acks = [
    two!.ack().then(() => done.push("two")),
    three!.ack().then(() => done.push("three")),
    two!.ack().then(() => done.push("two again")),
  ];
  const first = await server.next("ACK");
  assert.deepEqual(first.outcomes, [2, LOG, 1, 3]);
  acks.push(one!.ack().then(() => done.push("one")));
  const second = await server.next("ACK");
  assert.deepEqual([second.number, second.outcomes], [2, [2, LOG, 0, 1]]);
  assert.deepEqual(done, []);
  server.send({ type: "CONFIRM", ref: 1, number: 1 });
  await Promise.all(acks.slice(0, 3));
  assert.deepEqual(done, ["two", "three", "two again"]);
  server.send({ type: "CONFIRM", ref: 1, number: 2 });
  await Promise.all(acks);
  await one!.ack();
});

Deno.test("ack() of a message that was acknowledged by taking resolves when that is confirmed", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliver("t", [1]);
  const message = await mom.receive();
  await message!.ack();
  assert.equal(server.count("ACK"), 1);
});

Deno.test("ATTACH over a new connection lists what is unconfirmed and what is held", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  await server.next("ATTACH");
  server.script = (message) => message.type === "ACK";
  server.deliver("t", [1, 2, 3, 4]);
  server.deliver("u", [5, 6, 7], { logId: LOG + 1, targets: [1, 1] });
  server.deliver("u", [8], { logId: LOG + 1, targets: [1, 1] });
  const [one] = await mom.receiveMany({ max: 2 });
  const confirmed = one!.ack();
  await server.next("ACK");
  await mom.receive();
  const manual = await mom.receiveMany({ max: 4 });
  assert.deepEqual(values(manual), [4, 5, 6, 7]);
  server.script = () => false;
  server.cut();
  const attach = await server.next("ATTACH");
  assert.deepEqual(attach.known, [
    ...[2, LOG, 0, 2],
    ...[2, LOG, 2, 4],
    ...[0, LOG + 1, 0, 3],
  ]);
  // The window was open, and is again; what ATTACH listed is confirmed by ATTACHED.
  assert.equal(attach.credit, 256 * 1024);
  await confirmed;
  await manual[1]!.ack();
  const ack = server.heard.findLast((message) => message.type === "ACK");
  assert.deepEqual(ack, {
    type: "ACK",
    ref: 1,
    number: 1,
    outcomes: [2, LOG + 1, 0, 1],
    awaited: 1,
  });
});

Deno.test("what was pushed over the lost connection is dropped, and so is what comes before ATTACHED", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliver("t", ["old"]);
  await mom.receive();
  server.deliver("t", ["pushed", "pushed"]);
  await eventually("the push", () => mom.publish("x", 1));
  server.script = (message, peer) => {
    if (message.type !== "ATTACH") return false;
    server.deliver("t", ["stale"]);
    server.attached(message, peer);
    server.deliver("t", ["fresh"], { baseOffset: 1 });
    return true;
  };
  server.cut();
  await server.next("ATTACH");
  await server.next("ATTACH");
  const message = await mom.receive();
  assert.deepEqual([message?.value, message?.offset], ["fresh", 1]);
});

for (
  const [role, outcome] of [
    ["broker", "outcome_unknown"],
    // Its own disk has it, whatever became of the broker's.
    ["daemon", "confirmed"],
  ] as const
) {
  Deno.test(`ack() is ${outcome} when the broker's store was replaced, at the ${role}`, async () => {
    await using server = new ScriptedServer();
    server.role = role;
    const mom = await connect(server);
    server.script = (message) => message.type === "ACK";
    server.deliver("t", [1], { targets: [1, 1] });
    const message = await mom.receive();
    const settled = message!.ack()
      .then(() => "confirmed", (error) => error.code);
    await server.next("ACK");
    server.epoch = 2;
    server.cut();
    assert.equal(await settled, outcome);
  });
}

Deno.test("records that do not decode become dead letters, and receive goes on", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  const bad = Uint8Array.of(0x43, 0x83, 0x01, 0x02);
  server.deliverBytes("t", concat([bad, encodeRecord("good"), bad]), 3);
  server.deliverBytes("t", Uint8Array.of(0xff, 0xff), 5);
  server.deliver("t", ["next"]);
  assert.equal((await mom.receive())?.value, "good");
  assert.equal((await mom.receive())?.value, "next");
  await mom.close();
  assert.deepEqual(outcomes(server), [
    [4, LOG, 0, 1],
    [2, LOG, 1, 2],
    [4, LOG, 2, 8],
    [2, LOG, 8, 9],
  ]);
});

Deno.test("messages whose time is up are not handed over", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliver("t", [1, 2], { attributes: new Map([[1, 0]]) });
  server.deliver("t", [3], { attributes: new Map([[1, 60_000]]) });
  assert.equal((await mom.receive())?.value, 3);
  await mom.close();
  assert.deepEqual(outcomes(server), [[3, LOG, 0, 2], [2, LOG, 2, 3]]);
});

for (const later of [false, true]) {
  Deno.test(`a typed subscription hands over what its ${later ? "asynchronous " : ""}schema makes of values`, async () => {
    await using server = new ScriptedServer();
    const mom = await connect(server);
    const doubled = topic("t", {
      "~standard": {
        version: 1 as const,
        vendor: "test",
        validate(value: unknown) {
          if (value === "throw") throw new Error("a schema must not");
          const result = typeof value === "number"
            ? { value: value * 2 }
            : { issues: [{ message: "expected a number" }] };
          return later ? Promise.resolve(result) : result;
        },
      },
    });
    await mom.subscribe(doubled);
    server.deliver("t", [1, "x", 2, "throw", "y"]);
    server.deliver("other", ["plain"], { logId: LOG + 1 });
    server.deliver("t", [3]);
    const got: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const message = await mom.receive();
      assert.equal(doubled.is(message!), message!.topic === "t");
      got.push(message!.value);
    }
    assert.deepEqual(got, [2, 4, "plain", 6]);
    await mom.close();
    const settled = outcomes(server).filter(([, log]) => log === LOG);
    assert.deepEqual(settled, [
      [2, LOG, 0, 1],
      [5, LOG, 1, 2],
      [2, LOG, 2, 3],
      [5, LOG, 3, 5],
      [2, LOG, 5, 6],
    ]);
  });
}

Deno.test("a message that a schema looked at while its caller gave up goes to the next caller", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  const answer = Promise.withResolvers<{ value: unknown }>();
  await mom.subscribe(topic("t", {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: () => answer.promise,
    },
  }));
  server.deliver("t", ["slow"]);
  assert.equal(await mom.receive({ timeoutMs: 20 }), null);
  answer.resolve({ value: "checked" });
  assert.equal((await mom.receive())?.value, "checked");
});

Deno.test("receive() stops at 65,536 unconfirmed takes until some are confirmed", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.script = (message) => message.type === "ACK";
  const batch = Array.from({ length: 16_384 }, (_, i) => i);
  for (let i = 0; i < 4; i++) server.deliver("t", batch);
  server.deliver("t", ["one more"]);
  let taken = 0;
  while (taken < 65_536) {
    taken += (await mom.receiveMany({ max: 1_000 })).length;
  }
  assert.equal(taken, 65_536);
  assert.equal(await mom.receive({ timeoutMs: 20 }), null);
  server.script = () => false;
  server.send({ type: "CONFIRM", ref: 1, number: 1 });
  assert.equal((await mom.receive())?.value, "one more");
  server.send({ type: "CONFIRM", ref: 1, number: server.count("ACK") });
});

Deno.test("the window grows while the app takes quickly, and the credit covers no more than it", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  const value = new Uint8Array(60_000);
  const cost = encodeRecord(value).length + 32;
  let sent = 0;
  let granted = 256 * 1024;
  server.script = (message) => {
    if (message.type === "CREDIT") granted = Math.max(granted, message.total);
    return false;
  };
  let widest = 0;
  for (let i = 0; i < 24; i++) {
    let count = 0;
    while (sent + cost <= granted) {
      server.deliver("t", [value]);
      sent += cost;
      count++;
    }
    for (let left = count; left > 0; left--) await mom.receive();
    assert.equal(await mom.receive({ timeoutMs: 0 }), null);
    const before = granted;
    await eventually("more credit", () => granted > before, {
      intervalMs: 1,
    });
    widest = Math.max(widest, granted - sent);
  }
  assert.equal(widest, 4 * 1024 * 1024);
});

Deno.test("for await gives all messages and ends with the handle", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliver("t", [1, 2]);
  const got: unknown[] = [];
  for await (const { value } of mom) {
    got.push(value);
    if (value === 2) void mom.close();
  }
  assert.deepEqual(got, [1, 2]);
});

Deno.test("ack() waits no longer than reconnectTimeoutMs for a daemon that is away, and is told later all the same", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server, { reconnectTimeoutMs: 60 });
  await server.next("ATTACH");
  server.deliver("t", [1], { targets: [1, 1] });
  const message = await mom.receive();
  const news = mom.events();
  server.down();
  await news.next();
  assert.equal(await rejectionCode(message!.ack()), "daemon_unavailable");
  server.up();
  assert.deepEqual((await server.next("ATTACH")).known, [2, LOG, 0, 1]);
  await message!.ack();
});

Deno.test("ack() after the end of the handle says closed, unless it was confirmed before", async () => {
  await using server = new ScriptedServer();
  const mom = await connect(server);
  server.deliver("t", [1, 2], { targets: [1, 1] });
  const [one, two] = await mom.receiveMany();
  await one!.ack();
  await mom.close();
  await one!.ack();
  assert.equal(await rejectionCode(two!.ack()), "closed");
});
