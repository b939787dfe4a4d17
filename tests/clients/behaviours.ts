/**
 * What every client does, whatever language it is written in: one table. Values
 * stand as in `told_values.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { eventually } from "../helpers/eventually.ts";
import { range } from "../helpers/expect.ts";
import { filled } from "./told_values.ts";
import {
  type Client,
  failsWith,
  type ToldMessage,
  type World,
} from "./world.ts";

/** A behaviour: what holds, and how that is seen. */
export type Behaviour = readonly [
  sentence: string,
  see: (world: World) => Promise<void>,
];

const BAD_TOPICS = [
  "",
  " ",
  "a b",
  "a.b",
  "a:b",
  "a!b",
  "a\nb",
  "a\0b",
  "a\u0085b",
  "t".repeat(256),
  "é".repeat(128),
];
const WILD = ["a+b", "+", "#", "a/#", "$own"];
const BAD_FILTERS = ["a+", "a/+b", "#/a", "a#", "a/#/b"];
const GOOD_TOPICS = ["A", "a/b", "/", "a//b", "t".repeat(255), "é/ü", "-"];

/** One of each kind of value. */
export const VALUES: readonly unknown[] = [
  null,
  { undefined: 0 },
  true,
  false,
  0,
  -1,
  23,
  24,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  -(2 ** 32),
  -(2 ** 32) - 1,
  2 ** 40 + 1,
  2 ** 53 - 1,
  -(2 ** 53) + 1,
  1.5,
  -0.1,
  1e300,
  5e-324,
  { number: "-0" },
  { number: "NaN" },
  { number: "Infinity" },
  { number: "-Infinity" },
  { bigint: "0" },
  { bigint: "5" },
  { bigint: "-5" },
  { bigint: "9007199254740993" },
  { bigint: "18446744073709551615" },
  { bigint: "-9223372036854775808" },
  "",
  "ä€🜂\0\n",
  "\ufeffmark",
  { bytes: "" },
  { bytes: "00ff80" },
  { date: 0 },
  { date: 1_700_000_000_123 },
  { date: -1 },
  { date: 8_640_000_000_000_000 },
  { date: -8_640_000_000_000_000 },
  { date: 253_402_300_799_999 },
  [],
  [[], [[{ undefined: 0 }]]],
  { object: [] },
  {
    object: [
      ["b", [1, { bytes: "01" }]],
      ["a", { object: [["__proto__", null], ["", { bigint: "1" }]] }],
      ["when", { date: 1_000 }],
    ],
  },
];
const SIZES = [0, 1, 254, 255, 256, 65_535, 65_536, 8_388_608];
const HEADERS = [
  ["text", "ä"],
  ["number", 2 ** 40],
  ["fraction", 1.5],
  ["truth", true],
  ["bytes", { bytes: "00ff" }],
];

/** The table. */
export const BEHAVIOURS: readonly Behaviour[] = [
  ["each call succeeds, or fails with a code", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject("ana");
    assert.equal(ana.user, `${world.name("ana")}@north`);
    await failsWith("name_in_use", world.subject("ana"));
    await failsWith("name_invalid", world.subject("a/b"));
    await failsWith("name_invalid", world.subject("a".repeat(65)));
    await failsWith(
      "unauthorized",
      world.subject("other", { token: "0".repeat(64) }),
    );
    await failsWith(
      "option_invalid",
      world.subject("x", { daemon: "nothing" }),
    );
    await failsWith("not_subscribed", ana.unsubscribe(topic));
    assert.equal(await ana.subscribe(topic), true);
    await failsWith("already_subscribed", ana.subscribe(topic));
    assert.equal(await ana.subscribe(topic, { ifNew: true }), false);
    const ben = await world.partner("ben");
    const receipt = await ben.publish(topic, "hello", { level: "broker" });
    assert.deepEqual(receipt, { topic, level: "broker", offset: 0 });
    const [message] = await ana.take(1);
    assert.equal(message.value, "hello");
    assert.equal(message.sender, `${world.name("ben")}@south`);
    assert.equal(message.offset, 0);
    assert.equal(message.redelivered, false);
    assert.ok(Math.abs(message.time - Date.now()) < 60_000);
    await ana.unsubscribe(topic);
    await failsWith("not_subscribed", ana.unsubscribe(topic));
    await ana.close();
    await ana.close();
    await failsWith("closed", ana.publish(topic, 1));
    await failsWith("closed", ana.subscribe(topic));
    await failsWith("closed", ana.receive());
  }],

  [
    "what is meant for another store is refused, and nothing else",
    async (world) => {
      const topic = world.name("t");
      const [ana, ben] = [
        await world.subject("ana"),
        await world.partner("ben"),
      ];
      await ana.subscribe(topic, { echo: true });
      await ben.publish(topic, 1);
      const [{ epoch }] = await ana.take(1);
      assert.ok(epoch > 0);
      const options = { level: "broker", expiresMs: 60_000 };
      await ana.publish(topic, 2, { ...options, epoch });
      const wrong = ana.publish(topic, 3, { ...options, epoch: epoch + 1 });
      await failsWith("store_replaced", wrong);
      await failsWith("option_invalid", ana.publish(topic, 4, { epoch: 0 }));
      await ana.publishMany(topic, [5, 6], { epoch });
      assert.deepEqual(await ana.takeValues(3), [2, 5, 6]);
      await ana.takesNothing();
    },
  ],

  ["names break rules at the client", async (world) => {
    const ana = await world.subject();
    for (const topic of [...BAD_TOPICS, ...WILD]) {
      await failsWith("topic_invalid", ana.publish(topic, 1));
    }
    for (const filter of [...BAD_TOPICS, ...BAD_FILTERS]) {
      await failsWith("filter_invalid", ana.subscribe(filter));
      await failsWith("filter_invalid", ana.unsubscribe(filter));
    }
    const ben = await world.partner();
    for (const topic of GOOD_TOPICS) {
      await ana.subscribe(topic);
      await ben.publish(topic, topic);
    }
    assert.deepEqual(await ana.takeValues(GOOD_TOPICS.length), GOOD_TOPICS);
    await ana.destroy();
  }],

  ["filters match as they say, each message once", async (world) => {
    const root = world.name("m");
    const ana = await world.subject();
    const ben = await world.partner();
    for (const filter of ["+/1", "#", "A"]) {
      await ana.subscribe(`${root}/${filter}`);
    }
    await ana.subscribe("+/nothing");
    await ben.publish(`${root}/a/1`, 1);
    await ben.publish(root, 2);
    await ben.publish(`${root}/A`, 3);
    await ben.publish(`${root}x`, 4, { level: "broker" });
    assert.deepEqual(await ana.takeValues(3), [1, 2, 3]);
    await ana.takesNothing();
  }],

  ["its own messages come only as an echo", async (world) => {
    const [quiet, loud] = [world.name("quiet"), world.name("loud")];
    const ana = await world.subject();
    const other = await world.subject();
    for (const one of [ana, other]) await one.subscribe(quiet);
    await ana.subscribe(loud, { echo: true });
    await ana.publish(quiet, "not to me", { level: "broker" });
    await ana.publish(loud, "to me");
    assert.deepEqual(await ana.takeValues(1), ["to me"]);
    assert.deepEqual(await other.takeValues(1), ["not to me"]);
    await ana.takesNothing();
  }],

  ["receive blocks, ends in time, and takes in order", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject("ana");
    const ben = await world.partner();
    await ana.subscribe(topic);
    assert.equal(await ana.receive(0), null);
    assert.equal(await ana.receive(20), null);
    const blocked = ana.receive();
    await ben.publish(topic, "wakes");
    assert.equal((await blocked)?.value, "wakes");
    const count = 5_000;
    const receipts = await ben.publishMany(topic, { many: count });
    assert.equal(receipts.length, count);
    assert.equal(receipts.at(-1)!.offset, count);
    assert.deepEqual(await ana.takeValues(count), range(count));
    await ana.takesNothing();
  }],

  ["it publishes many in order, or none", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject();
    const ben = await world.partner();
    await ben.subscribe(topic);
    assert.deepEqual(await ana.publishMany(topic, []), []);
    const bad = [1, { bigint: String(2n ** 64n) }];
    await failsWith("value_unsupported", ana.publishMany(topic, bad));
    const count = 3_000;
    await ana.publishMany(topic, { many: count });
    await ana.publish(topic, "last");
    assert.deepEqual(await ben.takeValues(count), range(count));
    assert.deepEqual(await ben.takeValues(1), ["last"]);
  }],

  ["what was queued survives unsubscribe", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject();
    const ben = await world.partner();
    await ana.subscribe(topic);
    await ben.publish(topic, "before", { level: "broker" });
    await ana.unsubscribe(topic);
    await ben.publish(topic, "after", { level: "broker" });
    assert.deepEqual(await ana.takeValues(1), ["before"]);
    await ana.takesNothing();
  }],

  ["a subscription starts where it is told to", async (world) => {
    const topic = world.name("t");
    const ben = await world.partner();
    await ben.publishMany(topic, { many: 4 }, { level: "broker" });
    const starts: [unknown, number[]][] = [
      ["earliest", [0, 1, 2, 3]],
      ["last", [3]],
      [{ offset: 2 }, [2, 3]],
      [{ time: 0 }, [0, 1, 2, 3]],
      [{ time: Date.now() + 3_600_000 }, []],
    ];
    for (const [from, expected] of starts) {
      const ana = await world.subject();
      await ana.subscribe(topic, { from });
      assert.deepEqual(await ana.takeValues(expected.length), expected);
      if (expected.length === 0) await ana.takesNothing();
    }
    const bad = (await world.subject()).subscribe(topic, { from: "never" });
    await failsWith("option_invalid", bad);
  }],

  ["values of every kind cross both ways", async (world) => {
    const [there, back] = [world.name("there"), world.name("back")];
    const ana = await world.subject();
    const ben = await world.partner();
    await ben.subscribe(there);
    await ana.subscribe(back);
    await ana.publishMany(there, VALUES);
    assert.deepEqual(await ben.takeValues(VALUES.length), VALUES);
    await ben.publishMany(back, VALUES);
    assert.deepEqual(await ana.takeValues(VALUES.length), VALUES);
  }],

  [
    "sizes up to 8 MiB come whole, one byte more does not leave",
    async (world) => {
      const topic = world.name("t");
      const ana = await world.subject();
      const ben = await world.partner();
      await ben.subscribe(topic);
      for (const size of SIZES) {
        for (const kind of ["bytes", "text"] as const) {
          const expected = await filled(kind, size);
          await ana.publish(topic, { fill: [kind, size] });
          assert.deepEqual(await ben.takeValues(1), [expected]);
        }
      }
      for (const kind of ["bytes", "text"]) {
        const tooLong = ana.publish(topic, { fill: [kind, 8_388_609] });
        await failsWith("message_too_large", tooLong);
      }
    },
  ],

  ["what no message carries is refused", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject();
    let deep: unknown = 1;
    for (let level = 0; level < 64; level++) deep = [deep];
    const ben = await world.partner();
    await ben.subscribe(topic);
    await ana.publish(topic, deep);
    assert.deepEqual(await ben.takeValues(1), [deep]);
    for (
      const bad of [
        [deep],
        { bigint: String(2n ** 64n) },
        { bigint: String(-(2n ** 63n) - 1n) },
        "\ud800",
        { object: [["\ud800", 1]] },
      ]
    ) {
      await failsWith("value_unsupported", ana.publish(topic, bad));
    }
    await ben.takesNothing();
  }],

  ["headers cross both ways, and are bounded", async (world) => {
    const [there, back] = [world.name("there"), world.name("back")];
    const ana = await world.subject();
    const ben = await world.partner();
    await ben.subscribe(there);
    await ana.subscribe(back);
    await ana.publish(there, 1, { headers: HEADERS });
    assert.deepEqual((await ben.take(1))[0].headers, HEADERS);
    await ben.publish(back, 1, { headers: HEADERS });
    assert.deepEqual((await ana.take(1))[0].headers, HEADERS);
    await ben.publish(back, 1);
    assert.deepEqual((await ana.take(1))[0].headers, []);
    const large = { headers: [["x", "x".repeat(16_384)]] };
    await failsWith("message_too_large", ana.publish(there, 1, large));
    const bad = { headers: [["x", null]] };
    await failsWith("value_unsupported", ana.publish(there, 1, bad));
  }],

  ["what has expired does not come", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject("ana");
    const ben = await world.partner("ben");
    for (const one of [ana, ben]) await one.subscribe(topic);
    await ben.publish(topic, "gone", { level: "broker", expiresMs: 1 });
    await ben.publish(topic, "here", { expiresMs: 60_000 });
    assert.deepEqual(await ana.takeValues(1), ["here"]);
    await ana.publish(topic, "gone", { level: "broker", expiresMs: 1 });
    await ana.publish(topic, "here", { expiresMs: 60_000 });
    assert.deepEqual(await ben.takeValues(1), ["here"]);
    const bad = ana.publish(topic, 1, { expiresMs: 0 });
    await failsWith("option_invalid", bad);
  }],

  [
    "a named user's mailbox outlives its handle, an unnamed one's does not",
    async (world) => {
      const topic = world.name("t");
      const ben = await world.partner();
      const first = await world.subject("ana");
      await first.subscribe(topic);
      const unnamed = await world.subject();
      await unnamed.subscribe(topic);
      await unnamed.close();
      await ben.publish(topic, 0);
      assert.deepEqual(await first.takeValues(1), [0]);
      await first.close();
      await ben.publishMany(topic, { many: 3 });
      const second = await world.subject("ana");
      await failsWith("already_subscribed", second.subscribe(topic));
      assert.deepEqual(await second.takeValues(3), [0, 1, 2]);
      await second.destroy();
      await second.destroy();
      await failsWith("closed", second.publish(topic, 1));
      const third = await world.subject("ana");
      assert.equal(await third.subscribe(topic), true);
      await third.takesNothing();
    },
  ],

  ["a manual acknowledgement counts when it is made", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject("ana");
    const ben = await world.partner();
    await ana.subscribe(topic, { ack: "manual" });
    await ben.publishMany(topic, { many: 4 });
    const messages = await ana.take(3);
    await ana.ack(messages[1]);
    await ana.ack(messages[1]);
    await ana.close();
    await failsWith("closed", ana.ack(messages[0]));
    const again = await world.subject("ana");
    const came = await again.take(3);
    assert.deepEqual(came.map(({ value }) => value), [0, 2, 3]);
    assert.deepEqual(came.slice(0, 2).map((one) => one.redelivered), [
      true,
      true,
    ]);
    for (const one of came) await again.ack(one);
    await again.takesNothing();
  }],

  ["it does without a daemon", async (world) => {
    const topic = world.name("t");
    const broker = { broker: world.cluster.brokerAddress, daemon: undefined };
    const ana = await world.subject("ana", broker);
    assert.equal(ana.user, `${world.name("ana")}@direct`);
    const ben = await world.partner();
    await ana.subscribe(topic);
    await ben.publishMany(topic, { many: 100 });
    assert.deepEqual(await ana.takeValues(100), range(100));
    await ben.subscribe(topic);
    const receipt = await ana.publish(topic, "direct");
    assert.deepEqual(receipt, { topic, level: "broker", offset: 100 });
    assert.deepEqual(await ben.takeValues(1), ["direct"]);
  }],

  ["it works while the broker is away", async (world) => {
    const topic = world.name("t");
    const ana = await world.subject("ana");
    const ben = await world.partner("ben");
    await ben.subscribe(topic);
    await world.cluster.broker.kill();
    await eventually("a receipt of the daemon", async () => {
      const { level } = await ana.publish(topic, "before");
      return level === "daemon";
    });
    await failsWith("broker_unavailable", ana.subscribe(topic));
    const late = ana.publish(topic, "late", { level: "broker", timeoutMs: 50 });
    await failsWith("outcome_unknown", late);
    const wanted = ana.publish(topic, "wanted", { level: "broker" });
    await world.cluster.broker.start();
    assert.equal((await wanted).level, "broker");
    const seen: unknown[] = [];
    while (seen.at(-1) !== "wanted") seen.push(...await ben.takeValues(1));
    assert.deepEqual(seen.slice(-2), ["late", "wanted"]);
    assert.ok(seen.slice(0, -2).every((value) => value === "before"));
    await world.cluster.linked();
  }],

  ["calls wait for a daemon that is away, and not for ever", async (world) => {
    const topic = world.name("t");
    // A busy machine too connects within it.
    const impatient = { reconnectTimeoutMs: 1_000 };
    const ana = await world.subject("ana", impatient);
    const ben = await world.subject("ben");
    await ana.subscribe(topic);
    const receiving = failsWith("daemon_unavailable", ana.receive());
    await world.cluster.daemon("north").kill();
    await receiving;
    await Promise.all(
      [
        ana.publish(topic, "never sent"),
        ana.unsubscribe(topic),
        world.subject("carl", impatient),
      ].map((call) => failsWith("daemon_unavailable", call)),
    );
    const waits = ben.publish(topic, "waits");
    await world.cluster.daemon("north").start();
    await waits;
    // The same handle goes on.
    assert.deepEqual(await ana.takeValues(1), ["waits"]);
    await ana.publish(topic, 1);
    await world.cluster.linked();
  }],

  ["SIGKILL of its daemon loses and doubles nothing", async (world) => {
    const [there, back] = [world.name("there"), world.name("back")];
    const ana = await world.subject("ana");
    const ben = await world.partner("ben");
    await ben.subscribe(there);
    await ana.subscribe(back);
    const stock = await Stock.make(world, ben);
    const count = 150;
    const daemon = world.cluster.daemon("north");
    let published = 0;
    const publishing = (async () => {
      for (; published < count; published++) {
        await ana.publish(there, published);
      }
    })();
    const echoing = (async () => {
      for (let i = 0; i < count; i++) {
        await ben.publish(back, (await ben.take(1))[0].value);
      }
    })();
    const receiving = ana.take(count);
    await eventually("half is published", () => published >= count / 2);
    await daemon.restart();
    await Promise.all([publishing, echoing]);
    const came = await receiving;
    assert.deepEqual(came.map(({ value }) => value), range(count));
    await ana.takesNothing();
    await ben.takesNothing();
    await stock.check();
  }],

  [
    "SIGKILL of its process loses nothing, what comes again is marked",
    async (world) => {
      const [there, back] = [world.name("there"), world.name("back")];
      const ben = await world.partner("ben");
      await ben.subscribe(there);
      const first = await world.subject("ana");
      await first.subscribe(back, { ack: "manual" });
      const count = 300;
      await ben.publishMany(back, { many: count });
      const notes = new Notes();
      await notes.live(first, there, world);
      const ana = await world.subject("ana");
      for (let one = await ana.receive(300); one !== null;) {
        notes.note(one);
        await ana.ack(one);
        notes.acknowledged.add(one.value);
        one = await ana.receive(300);
      }
      // An acknowledgement whose answer never came was made, or it came again.
      const doubtful = notes.handed.size - notes.acknowledged.size;
      assert.ok(doubtful <= 1, `${doubtful} have gone`);
      // What was on its way to be noted when it died was not acknowledged.
      assert.equal(notes.handed.size, count);
      const came: unknown[] = [];
      for (let one = await ben.receive(300); one !== null;) {
        came.push(one.value);
        one = await ben.receive(300);
      }
      const { receipts } = notes;
      assert.deepEqual(came, [...new Set(came)], "nothing came twice");
      assert.deepEqual(came.filter((one) => receipts.has(one)), [...receipts]);
      assert.ok(came.length <= receipts.size + 1, "and nothing else came");
    },
  ],
];

/** What lies at handles that live while their daemon dies. */
class Stock {
  readonly #holder: Client;
  readonly #held: readonly ToldMessage[];
  readonly #lazy: Client;

  private constructor(
    holder: Client,
    held: readonly ToldMessage[],
    lazy: Client,
  ) {
    this.#holder = holder;
    this.#held = held;
    this.#lazy = lazy;
  }

  /** One handle holds three of four messages, the other has taken one of 200. */
  static async make(world: World, writer: Client): Promise<Stock> {
    const [held, pushed] = [world.name("held"), world.name("pushed")];
    const holder = await world.subject("holder");
    await holder.subscribe(held, { ack: "manual" });
    await writer.publishMany(held, { many: 4 });
    const lazy = await world.subject("lazy");
    await lazy.subscribe(pushed);
    await writer.publishMany(pushed, { many: 200 });
    assert.deepEqual(await lazy.takeValues(1), [0]);
    return new Stock(holder, await holder.take(3), lazy);
  }

  /** What was handed over does not come again, all else comes once. */
  async check(): Promise<void> {
    assert.deepEqual(await this.#lazy.takeValues(199), range(200).slice(1));
    await this.#lazy.takesNothing();
    const [last] = await this.#holder.take(1);
    assert.equal(last.value, 3);
    await this.#holder.takesNothing();
    for (const message of [...this.#held, last]) {
      await this.#holder.ack(message);
    }
    await this.#holder.takesNothing();
  }
}

/** What an app that is killed was told. */
class Notes {
  /** Published with a receipt, in order. */
  readonly receipts = new Set<unknown>();
  /** Received at least once. */
  readonly handed = new Set<unknown>();
  /** Whose acknowledgement was answered. */
  readonly acknowledged = new Set<unknown>();
  #published = 0;

  /** Publishes and receives until it is killed in the middle of it. */
  async live(ana: Client, topic: string, world: World): Promise<void> {
    const end = this.#published + 40;
    const lives = [this.#publish(ana, topic), this.#receive(ana)]
      .map((life) => failsWith("gone", life));
    await eventually("some are published", () => this.#published >= end);
    await world.killSubject();
    await Promise.all(lives);
  }

  /** A message has come. */
  note({ value, redelivered }: ToldMessage): void {
    assert.ok(!this.acknowledged.has(value), `${value} was acknowledged`);
    assert.ok(redelivered || !this.handed.has(value), `${value} is not marked`);
    this.handed.add(value);
  }

  async #publish(ana: Client, topic: string): Promise<void> {
    while (true) {
      const value = this.#published++;
      await ana.publish(topic, value);
      this.receipts.add(value);
    }
  }

  async #receive(ana: Client): Promise<void> {
    for (let one = await ana.receive(); one !== null;) {
      this.note(one);
      await ana.ack(one);
      this.acknowledged.add(one.value);
      one = await ana.receive();
    }
  }
}
