import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { type Mom, type PublishOptions, topic } from "../../daemon/client.ts";
import { countRecords, forEachRecord } from "../../protocol/batch.ts";
import { type Clock, systemClock } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import type { Message, Publish } from "../../protocol/messages.ts";
import { decodeRecord } from "../../protocol/record.ts";
import type { Peer } from "../../protocol/peer.ts";
import { eventually } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import { rejection, rejectionCode, ScriptedServer } from "./scripted_server.ts";

function valuesOf({ batch }: Publish): unknown[] {
  const values: unknown[] = [];
  forEachRecord(batch, (content) => values.push(decodeRecord(content).value));
  return values;
}

function receipt(
  message: Publish,
  level: 0 | 1,
  offset: number | null = null,
): Message {
  return { type: "RECEIPT", request: message.request, level, offset };
}

Deno.test("publish() sends one value at once and resolves with its receipt", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const got = await mom.publish("museum/doors/1", "open", {
    headers: { by: "ana" },
  });
  assert.deepEqual(got, {
    topic: "museum/doors/1",
    level: "broker",
    offset: 0,
  });
  const attach = await server.next("ATTACH");
  const publish = await server.next("PUBLISH");
  assert.deepEqual(publish.producer, attach.handle);
  const { topic, previous, firstSequence, count, attributes, wanted } = publish;
  assert.deepEqual([topic, previous, firstSequence, count], [
    "museum/doors/1",
    0,
    1,
    1,
  ]);
  assert.deepEqual([attributes, wanted], [null, undefined]);
  forEachRecord(publish.batch, (content) => {
    assert.deepEqual(decodeRecord(content), {
      headers: { by: "ana" },
      value: "open",
    });
  });
});

Deno.test("publishes of one topic in one turn travel as one batch, with a receipt each", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const receipts = await Promise.all([
    mom.publish("b", "x"),
    mom.publish("a", 1),
    mom.publish("a", 2),
    mom.publish("a", 3),
  ]);
  assert.deepEqual(receipts.map(({ topic, offset }) => [topic, offset]), [
    ["b", 0],
    ["a", 0],
    ["a", 1],
    ["a", 2],
  ]);
  assert.deepEqual(valuesOf(await server.next("PUBLISH")), ["x"]);
  assert.deepEqual(valuesOf(await server.next("PUBLISH")), [1, 2, 3]);
  await mom.publish("a", 4);
  const next = await server.next("PUBLISH");
  assert.deepEqual([next.previous, next.firstSequence], [3, 4]);
});

Deno.test("publishes leave in their order over all topics, also again after a lost connection", async () => {
  await using server = new ScriptedServer();
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const mom = await server.connect();
  // Silent until the connection is cut in the middle.
  let isSilent = true;
  server.script = ({ type }) => type === "PUBLISH" && isSilent;
  const topics = ["a", "b", "c"];
  const values = Array.from({ length: 200 }, (_, n) => n);
  const receipts = values.map((n) => {
    const value = random.chance(0.05) ? new Uint8Array(70_000).fill(n) : n;
    return mom.publish(random.pick(topics), value);
  });
  await server.next("PUBLISH");
  server.heard.length = 0;
  isSilent = false;
  server.peer!.abort();
  const more = [mom.publish("b", 200), mom.publish("a", 201)];
  await Promise.all([...receipts, ...more]);
  const sent = server.heard.filter((message) => message.type === "PUBLISH")
    .flatMap(valuesOf)
    .map((value) => value instanceof Uint8Array ? value[0] : value);
  assert.deepEqual(sent, [...values, 200, 201], `seed ${seed}`);
});

Deno.test("publish() cuts batches at 52 KiB and sends what is large alone", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const values = Array.from(
    { length: 10 },
    (_, i) => new Uint8Array(12_000).fill(i),
  );
  const large = new Uint8Array(8 * 1024 * 1024);
  await Promise.all(
    [...values, large, 7].map((value) => mom.publish("t", value)),
  );
  const sent = server.heard.filter((message) => message.type === "PUBLISH");
  assert.deepEqual(sent.map(({ count }) => count), [4, 1, 4, 1, 1, 1]);
  assert.deepEqual(sent.map(({ batch }) => countRecords(batch)), [
    4,
    1,
    4,
    1,
    1,
    1,
  ]);
  assert.deepEqual(sent.flatMap(valuesOf), [...values, large, 7]);
});

Deno.test("publishes with other options travel in batches of their own, in order", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const options: PublishOptions[] = [{}, { expiresMs: 5_000 }, {
    expiresMs: 5_000,
  }, {
    level: "broker",
  }];
  await Promise.all(options.map((each, i) => mom.publish("t", i, each)));
  const sent = server.heard.filter((message) => message.type === "PUBLISH");
  assert.deepEqual(sent.map(valuesOf), [[0], [1, 2], [3]]);
  assert.deepEqual(sent.map(({ wanted }) => wanted), [undefined, undefined, 1]);
  const left = sent[1]!.attributes?.get(1) as number;
  assert.ok(left > 4_000 && left <= 5_000, `${left}`);
});

Deno.test("publish() refuses what cannot be sent, and nothing leaves the handle", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const wrong: [unknown, unknown, unknown, string][] = [
    ["a b", 1, {}, "topic_invalid"],
    ["a/+", 1, {}, "topic_invalid"],
    ["$mom/x", 1, {}, "topic_invalid"],
    [5, 1, {}, "TypeError"],
    ["t", () => {}, {}, "value_unsupported"],
    ["t", "x".repeat(8 * 1024 * 1024 + 1), {}, "message_too_large"],
    ["t", 1, 5, "TypeError"],
    ["t", 1, { level: "daemon" }, "option_invalid"],
    ["t", 1, { level: 1 }, "TypeError"],
    ["t", 1, { expiresMs: 0 }, "option_invalid"],
    ["t", 1, { expiresMs: "1" }, "TypeError"],
    ["t", 1, { epoch: 0 }, "option_invalid"],
    ["t", 1, { epoch: 1.5 }, "option_invalid"],
    ["t", 1, { epoch: "1" }, "TypeError"],
    ["t", 1, { timeoutMs: -1 }, "option_invalid"],
    ["t", 1, { timeoutMs: "1" }, "TypeError"],
    ["t", 1, { signal: {} }, "TypeError"],
    ["t", 1, { headers: [] }, "TypeError"],
    ["t", 1, { headers: { a: null } }, "value_unsupported"],
    ["t", 1, { headers: { a: "x".repeat(17_000) } }, "message_too_large"],
  ];
  for (const [to, value, options, expected] of wrong) {
    const code = await rejectionCode(
      mom.publish(to as string, value, options as never),
    );
    assert.equal(code, expected, Deno.inspect([to, options]));
  }
  assert.equal(
    await rejectionCode(mom.publishMany("t", 5 as never)),
    "TypeError",
  );
  assert.equal(
    await rejectionCode(mom.publishMany("t", [1, () => {}])),
    "value_unsupported",
  );
  assert.equal(server.count("PUBLISH"), 0);
});

Deno.test("publish() of a batch that the server refuses rejects all its callers, and the next goes around the hole", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.script = (message, peer) => {
    if (message.type !== "PUBLISH" || server.count("PUBLISH") > 1) return false;
    peer.refuse(
      new MomError("storage_full", "Cannot store: disk is full"),
      message.request,
    );
    return true;
  };
  const errors = await Promise.all([
    rejection(mom.publish("t", 1)),
    rejection(mom.publish("t", 2)),
  ]) as MomError[];
  assert.deepEqual(errors.map(({ code, retriable }) => [code, retriable]), [
    ["storage_full", true],
    ["storage_full", true],
  ]);
  await mom.publish("t", 3);
  await server.next("PUBLISH");
  const { previous, firstSequence } = await server.next("PUBLISH");
  assert.deepEqual([previous, firstSequence], [0, 3]);
});

Deno.test("publish() takes the first receipt, with level broker the one that says so", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.script = (message) => message.type === "PUBLISH";
  const quick = mom.publish("q", 1);
  const sure = mom.publish("s", 1, { level: "broker" });
  let isSure = false;
  void sure.then(() => isSure = true);
  server.send(receipt(await server.next("PUBLISH"), 0));
  const second = await server.next("PUBLISH");
  server.send(receipt(second, 0));
  assert.deepEqual(await quick, { topic: "q", level: "daemon" });
  assert.equal(isSure, false);
  server.send(receipt(second, 1, 41));
  assert.deepEqual(await sure, { topic: "s", level: "broker", offset: 41 });
});

Deno.test("what has no receipt goes out again over the next connection, the same way", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.script = (message) =>
    message.type === "PUBLISH" && server.count("PUBLISH") <= 2;
  const first = mom.publish("t", 1);
  const before = await server.next("PUBLISH");
  const noted = mom.publish("t", 2, { level: "broker" });
  server.send(receipt(await server.next("PUBLISH"), 0));
  server.cut();
  await Promise.all([first, noted]);
  const [again, second] = [
    await server.next("PUBLISH"),
    await server.next("PUBLISH"),
  ];
  assert.deepEqual([again.firstSequence, again.batch], [
    before.firstSequence,
    before.batch,
  ]);
  assert.deepEqual([second.previous, second.firstSequence, second.wanted], [
    1,
    2,
    1,
  ]);
});

Deno.test("publish() whose time is up says outcome_unknown, and the message goes on", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.script = (message) => message.type === "PUBLISH";
  const stop = new AbortController();
  const inTime = mom.publish("t", 1, { timeoutMs: 60_000 });
  const late = rejectionCode(mom.publish("t", 2, { timeoutMs: 20 }));
  const aborted = rejection(mom.publish("t", 3, { signal: stop.signal }));
  const many = rejectionCode(mom.publishMany("t", [4], { timeoutMs: 20 }));
  stop.abort(new Error("enough"));
  const error = await aborted as MomError;
  assert.deepEqual([error.code, (error.cause as Error).message], [
    "outcome_unknown",
    "enough",
  ]);
  assert.equal(await late, "outcome_unknown");
  assert.equal(await many, "outcome_unknown");
  const sent = await server.next("PUBLISH");
  assert.equal(sent.count, 3);
  server.send(receipt(sent, 1, 0));
  assert.equal((await inTime).offset, 0);
  server.send(receipt(await server.next("PUBLISH"), 1, 3));
  const gone = AbortSignal.abort(new Error("before"));
  assert.equal(
    (await rejection(mom.publish("t", 5, { signal: gone }))).message,
    "before",
  );
});

Deno.test("a publish that may have been sent says outcome_unknown when the daemon stays away, and still goes out", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect({ reconnectTimeoutMs: 60 });
  server.script = (message) => message.type === "PUBLISH";
  const sent = rejectionCode(mom.publish("t", 1));
  await server.next("PUBLISH");
  server.down();
  assert.equal(await sent, "outcome_unknown");
  server.script = () => false;
  server.up();
  const again = await server.next("PUBLISH");
  assert.deepEqual([again.firstSequence, valuesOf(again)], [1, [1]]);
});

Deno.test("publishMany() sends all in order and resolves with a receipt each", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  assert.deepEqual(await mom.publishMany("t", []), []);
  const values = Array.from({ length: 9 }, (_, i) => "x".repeat(20_000) + i);
  const before = mom.publish("t", "before");
  const receipts = await mom.publishMany("t", values);
  assert.equal((await before).offset, 0);
  assert.deepEqual(
    receipts.map(({ offset }) => offset),
    values.map((_, i) => i + 1),
  );
  const sent = server.heard.filter((message) => message.type === "PUBLISH");
  assert.deepEqual(sent.map(({ count }) => count), [1, 2, 2, 2, 2, 1]);
  assert.deepEqual(sent.flatMap(valuesOf), ["before", ...values]);
});

const schemaOf = <T>(is: (value: unknown) => boolean, later = false) => ({
  "~standard": {
    version: 1 as const,
    vendor: "test",
    validate: (value: unknown) => {
      const result = is(value)
        ? { value: value as T }
        : { issues: [{ message: "does not fit", path: ["a", { key: 0 }] }] };
      return later ? Promise.resolve(result) : result;
    },
  },
});

Deno.test("publish() to a typed topic checks the value first", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const counts = topic(
    "counts",
    schemaOf<number>((value) => typeof value === "number"),
  );
  const error = await rejection(mom.publish(counts, "x" as never)) as MomError;
  assert.equal(error.code, "value_unsupported");
  assert.match(error.message, /counts.*at a\.0: does not fit/);
  assert.equal(
    await rejectionCode(mom.publishMany(counts, [1, "x" as never])),
    "value_unsupported",
  );
  assert.equal((await mom.publish(counts, 5)).topic, "counts");
  assert.equal(server.count("PUBLISH"), 1);
});

Deno.test("publishes to a topic keep their order while a schema takes its time", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  const slow = topic(
    "t",
    schemaOf<number>((value) => typeof value === "number", true),
  );
  const results = await Promise.allSettled([
    mom.publish(slow, 1),
    mom.publish("t", "plain"),
    mom.publish(slow, "wrong" as never),
    mom.publishMany(slow, [2, 3]),
    mom.publish("t", "last"),
  ]);
  assert.deepEqual(results.map(({ status }) => status === "fulfilled"), [
    true,
    true,
    false,
    true,
    true,
  ]);
  const sent = server.heard.filter((message) => message.type === "PUBLISH");
  assert.deepEqual(sent.flatMap(valuesOf), [1, "plain", 2, 3, "last"]);
});

Deno.test("publish() to a closed handle rejects also when a schema took its time", async () => {
  await using server = new ScriptedServer();
  // Closing gives up after 5 s: here after 50 ms.
  const clock: Clock = {
    ...systemClock,
    setTimer: (ms, callback) => systemClock.setTimer(ms / 100, callback),
  };
  const mom = await server.connect({ clock });
  const answer = Promise.withResolvers<{ value: unknown }>();
  const slow = topic("t", {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: () => answer.promise,
    },
  });
  const waiting = rejectionCode(mom.publish(slow, 1));
  const closed = mom.close();
  await server.next("DETACH");
  answer.resolve({ value: 1 });
  await closed;
  assert.equal(await waiting, "closed");
});

Deno.test("no more than 32 MiB and a batch are sent without an answer", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.script = ({ type }) => type === "PUBLISH";
  const value = new Uint8Array(1024 * 1024);
  const receipts = Array.from(
    { length: 40 },
    (_, i) => mom.publish(`t/${i % 3}`, value),
  );
  await eventually("a full window", () => server.count("PUBLISH") >= 32);
  // What is asked now is answered behind whatever was sent before.
  await mom.subscribe("t");
  const sent = server.heard.filter((message) => message.type === "PUBLISH");
  assert.ok(sent.length <= 33, `${sent.length} MiB`);
  server.script = () => false;
  for (const each of sent) {
    server.send(receipt(each, 1, each.firstSequence - 1));
  }
  await Promise.all(receipts);
});

Deno.test("publishes gather while the connection is behind", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  server.network.pause();
  const receipts: Promise<unknown>[] = [];
  for (let turn = 0; turn < 300; turn++) {
    for (let i = 0; i < 10; i++) {
      receipts.push(mom.publish("t", "x".repeat(1_000)));
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  server.network.resume();
  await Promise.all(receipts);
  const sent = server.heard.filter((message) => message.type === "PUBLISH");
  assert.ok(sent.length < 200, `${sent.length} batches`);
  assert.equal(sent.reduce((sum, { count }) => sum + count, 0), 3_000);
});

/** A server that stores by PROTOCOL 8.3, refusing and losing at random. */
class Store {
  last = 0;
  readonly values: unknown[] = [];

  take(message: Publish, peer: Peer, refuses: boolean): void {
    const end = message.firstSequence + message.count - 1;
    if (end > this.last) {
      if (this.last < message.previous) {
        const error = new MomError(
          "out_of_sequence",
          "Cannot accept: out of sequence",
        );
        return peer.refuse(
          error,
          message.request,
          new Map([["last", this.last]]),
        );
      }
      if (refuses) {
        return peer.refuse(
          new MomError("storage_full", "Cannot store: full"),
          message.request,
        );
      }
      this.values.push(
        ...valuesOf(message).slice(
          Math.max(0, this.last - message.firstSequence + 1),
        ),
      );
      this.last = end;
    }
    peer.send(receipt(message, 1));
  }
}

Deno.test("whatever is refused or lost on the way, a receipt means stored once and in order", async () => {
  const step = fc.constantFrom(
    "publish",
    "publish",
    "publish",
    "turn",
    "cut",
    "refuse",
    "many",
  );
  const property = fc.asyncProperty(
    fc.array(step, { maxLength: 60 }),
    async (steps) => {
      await using server = new ScriptedServer();
      const store = new Store();
      let refusals = 0;
      let cuts = 0;
      server.script = (message, peer) => {
        if (message.type !== "PUBLISH") return false;
        store.take(message, peer, refusals-- > 0);
        // Some answers are lost.
        if (cuts-- > 0) server.cut();
        return true;
      };
      const mom: Mom = await server.connect();
      const outcomes = new Map<number, string>();
      const waits: Promise<unknown>[] = [];
      let next = 0;
      const note = (values: number[], promise: Promise<unknown>) =>
        waits.push(promise.then(
          () => values.forEach((value) => outcomes.set(value, "ok")),
          (error) => values.forEach((value) => outcomes.set(value, error.code)),
        ));
      for (const each of steps) {
        if (each === "publish") note([++next], mom.publish("t", next));
        else if (each === "many") {
          const values = [++next, ++next];
          note(values, mom.publishMany("t", values));
        } else if (each === "refuse") refusals = 1;
        else if (each === "cut") cuts = 1;
        else await new Promise((resolve) => setTimeout(resolve, 0));
      }
      refusals = cuts = 0;
      await Promise.all(waits);
      const expected = [...outcomes].filter(([, how]) => how === "ok").map((
        [value],
      ) => value);
      assert.deepEqual(store.values, expected.sort((a, b) => a - b));
      assert.deepEqual(
        new Set([...outcomes.values(), "ok", "storage_full"]),
        new Set(["ok", "storage_full"]),
      );
    },
  );
  await fc.assert(property, { numRuns: 60 });
});
