/**
 * A broker that takes smaller messages than its daemons do: what is too large is
 * refused, and nothing that merely travelled with it; what follows keeps its order.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Mom } from "../../daemon/client.ts";
import { Daemon } from "../../daemon/daemon.ts";
import { MomError } from "../../protocol/errors.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { Random } from "../helpers/random.ts";
import { eventually } from "../helpers/eventually.ts";

const BROKER = "127.0.0.1:7000";
const DAEMON = "127.0.0.1:7001";
const LARGE = "x".repeat(60_000);

/** A network, a daemon on it, and a broker once it is started. */
class Scene implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  daemon!: Daemon;
  writer!: Mom;
  broker: Broker | null = null;

  static async open(): Promise<Scene> {
    const scene = new Scene();
    const { network } = scene;
    scene.daemon = await Daemon.start({
      broker: BROKER,
      listen: DAEMON,
      listener: network.listen(DAEMON),
      dialer: network,
      data: ":memory:",
      machine: "north",
      brokerToken: "0123456789abcdef0123456789abcdef",
      insecureNoToken: true,
    });
    scene.writer = await Mom.connect({ daemon: DAEMON, dialer: network });
    return scene;
  }

  async startBroker(): Promise<void> {
    this.broker = await Broker.start({
      data: ":memory:",
      listener: this.network.listen(BROKER),
      insecureNoToken: true,
      maxMessageBytes: 1_000,
    });
    await eventually("the link", () => {
      return this.daemon.status().link?.state === "up";
    });
  }

  /** Everything in a topic, as it lies at the broker. */
  async read(topic: string, count: number): Promise<unknown[]> {
    const { network: dialer } = this;
    await using reader = await Mom.connect({ broker: BROKER, dialer });
    await reader.subscribe(topic, { from: "earliest" });
    const values: unknown[] = [];
    while (values.length < count) {
      const message = await reader.receive({ timeoutMs: 10_000 });
      assert(message !== null, `${values.length} of ${count} came`);
      values.push(message.value);
    }
    assert.equal(this.broker?.status().totals.published, count);
    return values;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer.close();
    await this.daemon.stop();
    await this.broker?.stop();
  }
}

/** Publishes a number or something large for each; gives the outcome of each. */
function publishAll(
  writer: Mom,
  values: readonly (number | string)[],
  level?: "broker",
): Promise<string[]> {
  return Promise.all(
    values.map((value) =>
      writer.publish("t", value, { level, timeoutMs: 20_000 }).then(
        (receipt) => receipt.level,
        (error) => error instanceof MomError ? error.code : `${error}`,
      )
    ),
  );
}

Deno.test("a publish that is too large for the broker takes none along, over a link", async () => {
  const seed = Date.now() % 100_000;
  const random = new Random(seed);
  await using scene = await Scene.open();
  await scene.startBroker();
  let next = 0;
  const answers: Promise<string[]>[] = [];
  const drawn: (number | string)[] = [];
  // Several turns in flight, each a batch: what follows goes around the holes.
  for (let turn = 0; turn < 30; turn++) {
    const values = Array.from(
      { length: random.integer(1, 12) },
      () => random.chance(0.15) ? LARGE : next++,
    );
    drawn.push(...values);
    answers.push(publishAll(scene.writer, values, "broker"));
    await Promise.resolve();
    if (random.chance(0.3)) await answers[0];
  }
  const codes = (await Promise.all(answers)).flat();
  const wanted = drawn.map((value) =>
    value === LARGE ? "message_too_large" : "broker"
  );
  assert.deepEqual(codes, wanted, `seed ${seed}`);
  const numbers = Array.from({ length: next }, (_, n) => n);
  assert.deepEqual(await scene.read("t", next), numbers, `seed ${seed}`);
});

Deno.test("a publish that is too large for the broker takes none along, out of the outbox", async () => {
  await using scene = await Scene.open();
  const news = scene.daemon.events()[Symbol.asyncIterator]();
  const values = [0, 1, LARGE, 2, LARGE, LARGE, 3, 4, 5, LARGE, 6];
  const levels = await publishAll(scene.writer, values);
  assert.deepEqual(new Set(levels), new Set(["daemon"]));
  const wanting = publishAll(scene.writer, [7, LARGE, 8], "broker");
  await scene.startBroker();
  assert.deepEqual(await wanting, ["broker", "message_too_large", "broker"]);
  assert.deepEqual(await scene.read("t", 9), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  // Dead letters are those that are too large, each by itself.
  const counts: number[] = [];
  while (counts.length < 5) {
    const { value } = await news.next();
    if (value?.type === "rejected") counts.push(value.count);
  }
  assert.deepEqual(counts, [1, 1, 1, 1, 1]);
  await eventually("an empty outbox", () => {
    return scene.daemon.status().outbox?.messages === 0;
  });
});

Deno.test("many small records that together do not fit a frame of the broker go on in parts", async () => {
  await using scene = await Scene.open();
  await scene.startBroker();
  const values = Array.from({ length: 20_000 }, (_, n) => n);
  const codes = await publishAll(scene.writer, values, "broker");
  assert.deepEqual(new Set(codes), new Set(["broker"]));
  assert.deepEqual(await scene.read("t", values.length), values);
});
