/**
 * Rows 1 to 7 and 9 of the original's behaviour: its calls, and who gets what.
 */
import assert from "node:assert/strict";
import type { Mom } from "../../mod.ts";
import { networkDialer } from "../../transport/dial.ts";
import {
  range,
  rejectsWith,
  take,
  takesNothing,
  takeValues,
} from "../helpers/expect.ts";
import { System } from "../helpers/system.ts";
import { TappingDialer } from "../helpers/tapping_dialer.ts";

Deno.test("[O-1] every call succeeds or fails with an error that says why", async () => {
  await using system = await System.start(["north"]);
  const ana = await system.connect("north", "ana");
  assert.equal(ana.user, "ana@north");
  await rejectsWith("name_invalid", system.connect("north", "a/b"));
  await rejectsWith("name_in_use", system.connect("north", "ana"));

  assert.equal(await ana.subscribe("t"), true);
  await rejectsWith("already_subscribed", ana.subscribe("t"));
  assert.equal(await ana.subscribe("t", { ifNew: true }), false);

  const ben = await system.connect("north", "ben");
  const receipt = await ben.publish("t", "hello");
  assert.equal(receipt.topic, "t");
  await rejectsWith("topic_invalid", ben.publish("t t", "hello"));

  assert.equal((await take(ana, 1))[0].value, "hello");
  assert.equal(await ana.receive({ timeoutMs: 10 }), null);

  await ana.unsubscribe("t");
  await rejectsWith("not_subscribed", ana.unsubscribe("t"));

  await ana.subscribe("kept");
  await ana.destroy();
  await ana.destroy();
  await rejectsWith("closed", ana.publish("t", "late"));
  await rejectsWith("closed", ana.receive());
  const again = await system.connect("north", "ana");
  assert.equal(await again.subscribe("kept"), true);
});

const BAD_TOPICS = [
  "",
  " ",
  "a b",
  "a.b",
  "a:b",
  "a!b",
  "a+b",
  "+",
  "#",
  "a/#",
  "a\nb",
  "a\0b",
  "a\tb",
  "\ud800",
  "t".repeat(256),
  "é".repeat(128),
];
const GOOD_TOPICS = ["a", "A", "a/b", "/", "a//b", "t".repeat(255), "é/ü", "-"];

Deno.test("[O-2] a topic that breaks a rule is refused at the client, and nothing leaves it", async () => {
  await using system = await System.start(["north"]);
  const dialer = new TappingDialer(networkDialer);
  const ana = await system.connect("north", "ana", { dialer });
  const sent = dialer.sent.length;
  for (const topic of BAD_TOPICS) {
    await rejectsWith("topic_invalid", ana.publish(topic, 1));
    await rejectsWith("topic_invalid", ana.publishMany(topic, [1]));
  }
  const badFilters = BAD_TOPICS.filter((one) => !/^(a\/)?[+#]$/.test(one));
  for (const filter of badFilters) {
    await rejectsWith("filter_invalid", ana.subscribe(filter));
    await rejectsWith("filter_invalid", ana.unsubscribe(filter));
  }
  assert.deepEqual(dialer.sent.slice(sent), []);
  assert.equal((await system.broker.status()).totals.published, 0);

  const ben = await system.connect("north", "ben");
  for (const topic of GOOD_TOPICS) {
    await ben.subscribe(topic);
    await ana.publish(topic, topic);
  }
  assert.deepEqual(await takeValues(ben, GOOD_TOPICS.length), GOOD_TOPICS);
});

Deno.test("[O-3] a name takes its own topic, not its parent's or sibling's, nor in other case", async () => {
  await using system = await System.start(["north"]);
  const ana = await system.connect("north", "ana");
  const ben = await system.connect("north", "ben");
  for (const filter of ["A", "A/C", "a/b", "A/B/C"]) {
    await ana.subscribe(filter);
  }
  await ben.publish("A/B", 1, { level: "broker" });
  await takesNothing(ana);
  await ben.publish("A/C", 2);
  assert.deepEqual(await takeValues(ana, 1), [2]);
});

Deno.test("[O-4] the sender does not get its own message, another handle of its process does", async () => {
  await using system = await System.start(["north"]);
  const [ana, ben] = [
    await system.connect("north", "ana"),
    await system.connect("north"),
  ];
  await ana.subscribe("t");
  await ben.subscribe("t");
  await ana.publish("t", "from ana", { level: "broker" });
  const [message] = await take(ben, 1);
  assert.equal(message.value, "from ana");
  assert.equal(message.sender, "ana@north");
  await takesNothing(ana);
  await ben.publish("t", "from ben");
  assert.deepEqual(await takeValues(ana, 1), ["from ben"]);
});

Deno.test("[O-5] subscribing twice fails and doubles nothing, also with the first subscription ever", async () => {
  await using system = await System.start(["north"]);
  const ana = await system.connect("north", "ana");
  const ben = await system.connect("north", "ben");
  await rejectsWith("not_subscribed", ana.unsubscribe("t"));
  assert.equal(await ana.subscribe("t"), true);
  await rejectsWith("already_subscribed", ana.subscribe("t"));
  await ben.publish("t", 1, { level: "broker" });
  assert.deepEqual(await takeValues(ana, 1), [1]);
  await takesNothing(ana);
  await ana.unsubscribe("t");
  await rejectsWith("not_subscribed", ana.unsubscribe("t"));
  await ben.publish("t", 2, { level: "broker" });
  await takesNothing(ana);
});

Deno.test("[O-6] receive blocks, ends in time, and hands out 10,000 kept messages in order", async () => {
  await using system = await System.start(["north", "south"]);
  const ana = await system.connect("north", "ana");
  const ben = await system.connect("south", "ben");
  await ana.subscribe("t");
  await takesNothing(ana, 20);
  const gaveUp = new Error("gave up");
  const signal = AbortSignal.abort(gaveUp);
  await assert.rejects(ana.receive({ signal }), (error) => error === gaveUp);

  const blocked = ana.receive();
  await ben.publish("t", "wakes");
  assert.equal((await blocked)?.value, "wakes");

  const count = 10_000;
  await ben.publishMany("t", range(count), { level: "broker" });
  assert.deepEqual(await takeValues(ana, count), range(count));
  await takesNothing(ana, 20);
});

Deno.test("[O-7] what was queued survives unsubscribe, what comes later does not come", async () => {
  await using system = await System.start(["north"]);
  const ana = await system.connect("north", "ana");
  const ben = await system.connect("north", "ben");
  await ana.subscribe("t");
  await ben.publish("t", "before", { level: "broker" });
  await ana.unsubscribe("t");
  await ben.publish("t", "after", { level: "broker" });
  assert.deepEqual(await takeValues(ana, 1), ["before"]);
  await takesNothing(ana);
  await ana.subscribe("t");
  await ben.publish("t", "again");
  assert.deepEqual(await takeValues(ana, 1), ["again"]);
});

Deno.test("[O-9] every subscriber gets each publisher's messages in order, acknowledged ones are in the log", async () => {
  await using system = await System.start(["north", "south"]);
  const readers: Mom[] = [];
  for (const [machine, name] of [["north", "r1"], ["south", "r2"]]) {
    const reader = await system.connect(machine, name);
    await reader.subscribe("t/#");
    readers.push(reader);
  }
  const each = 500;
  const writers = await Promise.all(
    range(6).map((number) =>
      system.connect(number % 2 ? "north" : "south", `w${number}`)
    ),
  );
  await Promise.all(
    writers.map((writer, number) =>
      Promise.all(
        range(each).map((index) =>
          writer.publish(`t/${number % 3}`, index, { level: "broker" })
        ),
      )
    ),
  );
  const { totals } = await system.broker.status();
  assert.equal(totals.published, writers.length * each);
  for (const reader of readers) {
    const messages = await take(reader, writers.length * each);
    for (const { user } of writers) {
      const own = messages.filter((message) => message.sender === user);
      assert.deepEqual(own.map((message) => message.value), range(each));
    }
  }
});
