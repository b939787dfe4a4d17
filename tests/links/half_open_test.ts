/** Lines that fall silent, with the heartbeat of every day made short. */

import assert from "node:assert/strict";
import { Broker, type ConnectOptions, Daemon, Mom } from "../../mod.ts";
import { eventually, within } from "../helpers/eventually.ts";
import { range, takesNothing, takeValues } from "../helpers/expect.ts";
import { Random } from "../helpers/random.ts";
import { RoughProxy } from "../helpers/rough_proxy.ts";

/** A hundredth of the real one would be less than a busy machine's pauses. */
const HEARTBEAT_MS = 300;
/** Three intervals, what is looked at a tenth late, a takeover's PING, and a busy machine. */
const BACK_WITHIN_MS = 3 * HEARTBEAT_MS + 1_000 + 3_000;
const heartbeatMs = HEARTBEAT_MS;

/** A broker, and a daemon that listens on TCP, both behind proxies. */
class Lines implements AsyncDisposable {
  readonly toBroker = new RoughProxy(new Random(1));
  readonly toDaemon = new RoughProxy(new Random(2));
  broker!: Broker;
  daemon!: Daemon;
  #handles: Mom[] = [];

  static async open(): Promise<Lines> {
    const lines = new Lines();
    const { toBroker, toDaemon } = lines;
    const data = ":memory:";
    lines.broker = await Broker.start({ port: 0, data, heartbeatMs });
    lines.daemon = await Daemon.start({
      broker: toBroker.standBefore(addressOf(lines.broker)),
      brokerToken: lines.broker.token,
      listen: { port: 0 },
      data,
      machine: "north",
      heartbeatMs,
    });
    toDaemon.standBefore(addressOf(lines.daemon));
    return lines;
  }

  /** A handle at the daemon, over TCP. */
  far(name: string): Promise<Mom> {
    const { token } = this.daemon;
    return this.#connect({ daemon: this.toDaemon.address, token, name });
  }

  /** A handle at the daemon, with nothing between. */
  near(name: string): Promise<Mom> {
    const { address: daemon, token } = this.daemon;
    return this.#connect({ daemon, token, name });
  }

  /** A handle at the broker. */
  direct(name: string): Promise<Mom> {
    const { token } = this.broker;
    return this.#connect({ broker: this.toBroker.address, token, name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#handles.map((mom) => mom.close()));
    await this.daemon.stop();
    await this.broker.stop();
    await this.toBroker[Symbol.asyncDispose]();
    await this.toDaemon[Symbol.asyncDispose]();
  }

  async #connect(options: ConnectOptions): Promise<Mom> {
    const mom = await Mom.connect({ ...options, heartbeatMs });
    this.#handles.push(mom);
    return mom;
  }
}

function addressOf({ address }: Broker | Daemon): string {
  assert("port" in address);
  return `127.0.0.1:${address.port}`;
}

Deno.test("a link that falls silent: the daemon's disk answers at once, and the link is back within three heartbeats", async () => {
  await using lines = await Lines.open();
  const ana = await lines.near("ana");
  const ben = await lines.near("ben");
  await ana.subscribe("t");
  await ben.publish("t", 0, { level: "broker" });
  lines.toBroker.fallSilent();
  const startMs = performance.now();
  const receipt = await ben.publish("t", 1);
  const safeMs = performance.now() - startMs;
  assert.equal(receipt.level, "daemon");
  assert.ok(safeMs < 1_000, `${Math.round(safeMs)} ms to the safe road`);
  const [atBroker] = await Promise.all([
    within(
      "a new link",
      BACK_WITHIN_MS,
      ben.publish("t", 2, { level: "broker" }),
    ),
    takeValues(ana, 3).then((values) => assert.deepEqual(values, range(3))),
  ]);
  assert.equal(atBroker.level, "broker");
  await takesNothing(ana);
});

for (const where of ["far", "direct"] as const) {
  Deno.test(`a ${where} handle whose line falls silent comes back by itself, and nothing is lost or doubled`, async () => {
    await using lines = await Lines.open();
    const ana = await lines[where]("ana");
    const ben = await lines[where]("ben");
    await ana.subscribe("t");
    const got: unknown[] = [];
    const count = 30;
    const reading = (async () => {
      while (got.length < count) {
        const message = await ana.receive({ timeoutMs: BACK_WITHIN_MS });
        got.push(message?.value);
      }
    })();
    const proxy = where === "far" ? lines.toDaemon : lines.toBroker;
    for (const number of range(count)) {
      if (number === 10 || number === 20) proxy.fallSilent();
      await within("a receipt", BACK_WITHIN_MS, ben.publish("t", number));
    }
    await within("all messages", BACK_WITHIN_MS, reading);
    assert.deepEqual(got, range(count));
    await takesNothing(ana);
  });
}

Deno.test("a message that takes longer than three heartbeats over a slow line arrives, both ways", async () => {
  await using lines = await Lines.open();
  const ana = await lines.near("ana");
  const ben = await lines.direct("ben");
  const eve = await lines.near("eve");
  for (const mom of [ana, ben]) await mom.subscribe("t");
  // About 1.5 s each way, five heartbeats.
  lines.toBroker.weather = { drip: { bytes: 2_000, everyMs: 20 } };
  const large = new Uint8Array(150_000).map((_, index) => index & 0xff);
  const links = lines.toBroker.accepted;
  await eve.publish("t", large);
  const limitMs = 60_000;
  const [atAna, atBen] = await Promise.all([
    ana.receive({ timeoutMs: limitMs }),
    ben.receive({ timeoutMs: limitMs }),
  ]);
  assert.deepEqual(atAna?.value, large);
  assert.deepEqual(atBen?.value, large);
  await eventually("nothing left", () => {
    const { totals } = lines.broker.status();
    return totals.pending === 0 && lines.daemon.status().outbox?.messages === 0;
  }, { timeoutMs: limitMs });
  assert.equal(lines.toBroker.accepted, links, "nobody was given up");
});
