import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import type { Mom } from "../../daemon/client.ts";
import { publishesOf } from "../../protocol/bundle.ts";
import type { Bundle, Message, Publish } from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import { Random } from "../helpers/random.ts";
import { BundleStore, outOfSequence, refusal } from "./bundle_store.ts";
import { isPublishing, partsOf, recordsOf, recordsOfAll } from "./bundles.ts";
import { ScriptedServer } from "./scripted_server.ts";

/** A server that knows bundles and leaves what is published without an answer. */
function silent(): ScriptedServer {
  const server = new ScriptedServer();
  server.features = ["bundles"];
  server.script = isPublishing;
  return server;
}

/**
 * Publishes values to topics in turn: `"a1 b2"` is 1 to `a`, then 2 to `b`.
 *
 * @returns The offset that each gets, or its error's code.
 */
function publish(mom: Mom, what: string): Promise<unknown>[] {
  return what.split(" ").map((each) =>
    mom.publish(each[0], each.slice(1))
      .then(({ offset }) => offset, ({ code }) => code)
  );
}

/** What a message publishes, in the same form. */
const published = (message: Publish | Bundle) =>
  recordsOf(message).map(({ topic, value }) => `${topic}${value}`).join(" ");

/** All that was published, message by message. */
const all = (server: ScriptedServer) =>
  server.heard.filter(isPublishing).map(published);

function receipt({ request, firstSequence }: Publish): Message {
  const offset = firstSequence - 1;
  return { type: "RECEIPT", request, level: 1, offset };
}

/** Sends answers, and lets the handle do all that it does about them. */
async function answer(
  server: ScriptedServer,
  mom: Mom,
  ...answers: Message[]
): Promise<void> {
  for (const each of answers) server.send(each);
  // Its answer comes behind those, what the handle sends for them before the next.
  await mom.subscribe(`round/${server.heard.length}`);
  await mom.subscribe(`round/${server.heard.length}`);
}

Deno.test("an ERROR for a part of a bundle rejects that part's callers alone, and the next goes around the hole", async () => {
  await using server = silent();
  const mom = await server.connect();
  const receipts = publish(mom, "a1 b2 a3 c4 b5");
  const [a, b, c] = publishesOf(await server.next("BUNDLE"));
  await answer(server, mom, receipt(a), refusal(b.request), receipt(c));
  assert.deepEqual(await Promise.all(receipts), [
    0,
    "storage_full",
    1,
    0,
    "storage_full",
  ]);
  server.script = () => false;
  await Promise.all(publish(mom, "b6 a7"));
  const parts = publishesOf(await server.next("BUNDLE"));
  assert.deepEqual(
    parts.map(({ topic, previous, firstSequence }) => [
      topic,
      previous,
      firstSequence,
    ]),
    [["b", 0, 3], ["a", 2, 3]],
  );
});

Deno.test("parts of a bundle that were too large for the next hop reject the callers of those records", async () => {
  await using server = silent();
  const mom = await server.connect();
  const receipts = publish(mom, "a1 b2 a3 a4");
  const [a, b] = publishesOf(await server.next("BUNDLE"));
  const details = new Map<string, unknown>([["level", 1], ["refused", [2]]]);
  await answer(
    server,
    mom,
    receipt(b),
    {
      type: "ERROR",
      request: a.request,
      code: "message_too_large",
      message: "Cannot take it",
      details,
    },
  );
  assert.deepEqual(await Promise.all(receipts), [
    undefined,
    0,
    "message_too_large",
    undefined,
  ]);
});

for (const together of [true, false]) {
  const how = together ? "together" : "one by one";
  Deno.test(`bundles out of sequence go out again whole and in order when that is told ${how}`, async () => {
    await using server = silent();
    const mom = await server.connect();
    const refused = publish(mom, "a1");
    const first = await server.next("PUBLISH");
    const one = publish(mom, "b2 a3 b4 c5");
    const two = publish(mom, "c6 d7 b8");
    // They leave at the end of the turn, as one; the next in a turn of its own.
    const bundle = await server.next("BUNDLE");
    const three = publish(mom, "d9 a10");
    const behind = await server.next("BUNDLE");
    assert.deepEqual(all(server), [
      "a1",
      "b2 a3 b4 c5 c6 d7 b8",
      "d9 a10",
    ]);
    const parts = publishesOf(bundle);
    assert.deepEqual(parts.map(({ topic, previous }) => [topic, previous]), [
      ["b", 0],
      ["a", 1],
      ["c", 0],
      ["d", 0],
    ]);
    server.heard.length = 0;
    server.script = () => false;
    const answers = [
      refusal(first.request),
      // `previous` of a alone is not below what is there.
      ...[...parts, ...publishesOf(behind)]
        .map(({ request }) => outOfSequence(request, 0)),
    ];
    if (together) await answer(server, mom, ...answers);
    else for (const each of answers) await answer(server, mom, each);
    assert.deepEqual(all(server), ["b2 a3 b4 c5 c6 d7 b8", "d9 a10"]);
    const again = server.heard.filter((each) => each.type === "BUNDLE");
    assert.deepEqual(
      again.flatMap(publishesOf).map((
        { topic, previous, firstSequence },
      ) => [topic, previous, firstSequence]),
      [
        ["b", 0, 1],
        ["a", 0, 2],
        ["c", 0, 1],
        ["d", 0, 1],
        ["d", 1, 2],
        ["a", 2, 3],
      ],
    );
    assert.deepEqual(await Promise.all(refused), ["storage_full"]);
    assert.deepEqual(
      await Promise.all([...one, ...two, ...three]),
      [0, 1, 1, 0, 1, 0, 2, 1, 2],
    );
  });
}

Deno.test("of a bundle out of sequence what is known is answered, the rest goes out again", async () => {
  await using server = silent();
  const mom = await server.connect();
  const refused = publish(mom, "a1");
  const first = await server.next("PUBLISH");
  const receipts = publish(mom, "b2 a3 c4 a5 b6");
  const [b, a, c] = publishesOf(await server.next("BUNDLE"));
  server.heard.length = 0;
  server.script = () => false;
  await answer(
    server,
    mom,
    refusal(first.request),
    // All of c, and the first record of b.
    outOfSequence(b.request, 1),
    outOfSequence(a.request, 0),
    receipt(c),
  );
  assert.deepEqual(all(server), ["b2 a3 a5 b6"]);
  assert.deepEqual(await Promise.all(refused), ["storage_full"]);
  assert.deepEqual(await Promise.all(receipts), [0, 1, 0, 2, 1]);
});

Deno.test("a part that waits for the broker alone does not hold up what goes out again", async () => {
  await using server = silent();
  const mom = await server.connect();
  const refused = publish(mom, "a1");
  const first = await server.next("PUBLISH");
  const receipts = ["a", "b", "c"].map((topic) =>
    mom.publish(topic, 2, { level: "broker" })
  );
  const [a, b, c] = publishesOf(await server.next("BUNDLE"));
  server.heard.length = 0;
  await answer(
    server,
    mom,
    refusal(first.request),
    // On the daemon's disk, and who knows when on the broker's.
    { type: "RECEIPT", request: b.request, level: 0, offset: null },
    outOfSequence(a.request, 0),
  );
  // Of c nothing is known yet.
  assert.deepEqual(all(server), []);
  await answer(server, mom, outOfSequence(c.request, 0));
  assert.deepEqual(all(server), ["a2 c2"]);
  const bundle = server.heard.find((each) => each.type === "BUNDLE")!;
  await answer(server, mom, ...publishesOf(bundle).map(receipt), receipt(b));
  await Promise.all([...receipts, ...refused]);
});

Deno.test("a PUBLISH whose out_of_sequence contradicts it ends the connection as ever, also beside bundles", async () => {
  await using server = silent();
  const mom = await server.connect();
  const lone = publish(mom, "a1");
  const first = await server.next("PUBLISH");
  const { peer } = server;
  server.script = () => false;
  server.send(outOfSequence(first.request, 0));
  await server.next("ATTACH");
  await server.next("ATTACH");
  assert.notEqual(server.peer, peer);
  assert.deepEqual(await Promise.all(lone), [0]);
});

/** A handle whose topics a and b have had receipts, on a store that is replaced since. */
async function replaced(server: ScriptedServer): Promise<Mom> {
  server.script = () => false;
  const mom = await server.connect();
  await Promise.all(publish(mom, "a1 b2"));
  await server.next("BUNDLE");
  await server.next("ATTACH");
  server.script = isPublishing;
  server.epoch++;
  server.cut();
  await server.next("ATTACH");
  // It is attached when this has its answer.
  await mom.subscribe("attached");
  return mom;
}

for (const how of ["in turn", "the last one first"]) {
  Deno.test(`after another store the first bundle is alone until all its parts have an answer, ${how}`, async () => {
    await using server = silent();
    const mom = await replaced(server);
    const receipts = publish(mom, "a3 b4 c5");
    const probe = publishesOf(await server.next("BUNDLE"));
    const more = publish(mom, "c6 d7 a8");
    const parts = how === "in turn" ? probe : probe.toReversed();
    for (const part of parts) {
      assert.equal(server.count("BUNDLE"), 2, part.topic);
      await answer(server, mom, receipt(part));
    }
    const next = await server.next("BUNDLE");
    assert.equal(published(next), "c6 d7 a8");
    // Now that all is known nothing is alone any more.
    const last = publish(mom, "a9 d10");
    const [a, d] = publishesOf(await server.next("BUNDLE"));
    await answer(
      server,
      mom,
      ...publishesOf(next).map(receipt),
      receipt(a),
      receipt(d),
    );
    assert.deepEqual(
      await Promise.all([...receipts, ...more, ...last]),
      [1, 1, 0, 1, 0, 2, 3, 1],
    );
  });
}

Deno.test("a first bundle to another store goes out again when its connection is lost, too", async () => {
  await using server = silent();
  const mom = await replaced(server);
  const receipts = publish(mom, "a3 b4");
  await server.next("BUNDLE");
  receipts.push(...publish(mom, "c5 b6"));
  server.heard.length = 0;
  server.script = () => false;
  server.cut();
  assert.deepEqual(await Promise.all(receipts), [1, 1, 0, 2]);
  assert.deepEqual(all(server), ["a3 b4", "c5 b6"]);
});

for (const together of [true, false]) {
  const how = together ? "together" : "one by one";
  Deno.test(`after a store that has less a bundle goes out again whole when that is told ${how}`, async () => {
    await using server = silent();
    const mom = await replaced(server);
    const events = mom.events();
    const receipts = publish(mom, "c3 a4 b5 a6");
    const probe = publishesOf(await server.next("BUNDLE"));
    assert.deepEqual(
      probe.map(({ topic, previous }) => [topic, previous]),
      [["c", 0], ["a", 1], ["b", 1]],
    );
    const more = publish(mom, "b7 c8");
    server.heard.length = 0;
    server.script = () => false;
    const answers = probe.map(({ request }) => outOfSequence(request, 0));
    if (together) await answer(server, mom, ...answers);
    else for (const each of answers) await answer(server, mom, each);
    assert.deepEqual(all(server), ["c3 a4 b5 a6", "b7 c8"]);
    const again = server.heard.find((each) => each.type === "BUNDLE")!;
    assert.deepEqual(
      publishesOf(again).map(({ topic, previous, firstSequence }) => [
        topic,
        previous,
        firstSequence,
      ]),
      [["c", 0, 1], ["a", 0, 2], ["b", 0, 2]],
    );
    assert.deepEqual(
      await Promise.all([...receipts, ...more]),
      [0, 1, 1, 2, 2, 1],
    );
    const lost: unknown[] = [];
    for await (const event of events) {
      if (event.type !== "lost") continue;
      lost.push([event.topic, event.count]);
      if (lost.length === 2) break;
    }
    assert.deepEqual(lost, [["a", 1], ["b", 1]]);
  });
}

Deno.test("a part that is refused at once does not open the way behind a bundle to another store", async () => {
  await using server = silent();
  const mom = await replaced(server);
  const receipts = publish(mom, "a3 b4");
  const [a, b] = publishesOf(await server.next("BUNDLE"));
  const more = publish(mom, "b5 a6");
  server.heard.length = 0;
  await answer(server, mom, refusal(b.request));
  assert.deepEqual(all(server), []);
  server.script = () => false;
  await answer(server, mom, outOfSequence(a.request, 0));
  assert.deepEqual(all(server), ["a3", "b5 a6"]);
  assert.deepEqual(
    await Promise.all([...receipts, ...more]),
    [1, "storage_full", 2, 2],
  );
});

/** Answers messages as they come, at random in several turns and in any order of parts. */
class Answering {
  #done: Promise<void> = Promise.resolve();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  send(peer: Peer, answers: readonly Message[]): void {
    const random = this.#random;
    const shuffled = random.shuffle(answers);
    const late = shuffled.map(() => random.chance(0.2));
    this.#done = this.#done.then(async () => {
      for (const [i, each] of shuffled.entries()) {
        if (late[i]) await new Promise((resolve) => setTimeout(resolve, 0));
        if (!peer.isClosed) peer.send(each);
      }
    });
  }
}

Deno.test("whatever is refused or lost of bundles on the way, a receipt means stored once and in order", async () => {
  const topics = ["a", "b", "c"];
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...topics) },
    { weight: 2, arbitrary: fc.constant("turn") },
    { weight: 1, arbitrary: fc.constantFrom("cut", "refuse", "many") },
  );
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 10, maxLength: 120 }),
    fc.nat(),
    async (steps, seed) => {
      await using server = new ScriptedServer();
      server.features = ["bundles"];
      const random = new Random(seed);
      const store = new BundleStore();
      const answering = new Answering(random);
      let refusals = 0;
      let cuts = 0;
      let hasRefused = false;
      server.script = (message, peer) => {
        if (!isPublishing(message)) return false;
        const answers = store.take(message, () => {
          if (refusals === 0 || random.chance(0.5)) return false;
          refusals--;
          return hasRefused = true;
        });
        answering.send(peer, answers);
        // Some answers are lost.
        if (cuts-- > 0) server.cut();
        return true;
      };
      const mom = await server.connect();
      const outcomes = new Map<number, string>();
      const topicOf = new Map<number, string>();
      const waits: Promise<unknown>[] = [];
      let next = 0;
      const note = (topic: string, n: number[], promise: Promise<unknown>) => {
        for (const each of n) topicOf.set(each, topic);
        const set = (how: string) =>
          n.forEach((each) => outcomes.set(each, how));
        waits.push(promise.then(() => set("ok"), ({ code }) => set(code)));
      };
      for (const each of steps) {
        if (topics.includes(each)) {
          note(each, [++next], mom.publish(each, next));
        } else if (each === "many") {
          const values = [++next, ++next];
          const topic = random.pick(topics);
          note(topic, values, mom.publishMany(topic, values));
        } else if (each === "refuse") refusals++;
        else if (each === "cut") cuts = 1;
        else await new Promise((resolve) => setTimeout(resolve, 0));
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
      refusals = cuts = 0;
      await Promise.all(waits);
      for (const topic of topics) {
        const values = store.stored.filter((each) => each.topic === topic)
          .map(({ value }) => value);
        const expected = [...outcomes].filter(([n, how]) =>
          how === "ok" && topicOf.get(n) === topic
        ).map(([n]) => n).sort((a, b) => a - b);
        assert.deepEqual(values, expected, topic);
      }
      assert.deepEqual(
        new Set([...outcomes.values(), "ok", "storage_full"]),
        new Set(["ok", "storage_full"]),
      );
      // What was refused is the only reason for anything to be out of order.
      if (!hasRefused) {
        const values = store.stored.map(({ value }) => value as number);
        assert.deepEqual(values, values.toSorted((a, b) => a - b));
        assert.equal(store.late, 0);
      }
      assert(recordsOfAll(server.heard).length >= outcomes.size);
      for (const message of server.heard.filter(isPublishing)) {
        assert(partsOf(message).parts.length > 0);
      }
    },
  );
  await fc.assert(property, { numRuns: 100 });
});
