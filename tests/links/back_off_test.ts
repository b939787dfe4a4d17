import assert from "node:assert/strict";
import { Link } from "../../daemon/link.ts";
import { silentLogger } from "../../program/log.ts";
import type { ByteStream } from "../../protocol/byte_stream.ts";
import { acceptPeer, type Opened } from "../../protocol/handshake.ts";
import { Heartbeats } from "../../protocol/heartbeats.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { systemEntropy } from "../../protocol/clock.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { Random } from "../helpers/random.ts";

const BROKER = "127.0.0.1:7000";
const FLEET = 50;

/** A broker that is there or not, and the moments at which it was called. */
class Fleet {
  readonly clock = new FakeClock();
  readonly network = new MemoryNetwork();
  readonly dials: number[] = [];
  /** Whether the broker cuts each connection right after WELCOME. */
  cutsAtOnce = false;
  up = 0;
  readonly #heartbeats = new Heartbeats(this.clock);
  readonly #links: Link[] = [];
  readonly #random = new Random(50);

  async start(): Promise<void> {
    for (let n = 0; n < FLEET; n++) {
      const random = this.#random.fork();
      const link = new Link({
        dialer: { dial: (address) => this.#dial(address) },
        address: BROKER,
        clock: this.clock,
        entropy: { ...systemEntropy, fraction: () => random.fraction() },
        heartbeatMs: LIMITS.heartbeatMs,
        logger: silentLogger,
        machine: `m${n}`,
        machineKey: new Uint8Array(16),
        credit: 1,
        token: () => Promise.resolve(null),
        onUp: () => void this.up++,
        onMessage: () => {},
        onDown: () => void this.up--,
      });
      this.#links.push(link);
      await link.start();
    }
  }

  /** Accepts until the listener is closed; gives what closes it. */
  listen(): () => Promise<void> {
    const listener = this.network.listen(BROKER);
    const opened: Opened[] = [];
    const accepting = (async () => {
      for (let s = await listener.accept(); s !== null;) {
        const one = await this.#welcome(s);
        if (one !== null) opened.push(one);
        if (this.cutsAtOnce) one?.peer.abort();
        s = await listener.accept();
      }
    })();
    return async () => {
      listener.close();
      await accepting;
      for (const { peer } of opened) peer.abort();
    };
  }

  async stop(): Promise<void> {
    const stopping = Promise.all(this.#links.map((link) => link.stop()));
    await this.clock.run(1_000);
    await stopping;
    this.#heartbeats.stop();
  }

  #dial(address: string): Promise<ByteStream> {
    this.dials.push(this.clock.monotonicMs());
    return this.network.dial(address);
  }

  #welcome(stream: ByteStream): Promise<Opened | null> {
    return acceptPeer(stream, {
      clock: this.clock,
      entropy: systemEntropy,
      heartbeats: this.#heartbeats,
      token: null,
      maxMessageBytes: 1_000,
      admit: ({ machine }) => ({
        role: "broker",
        machine: machine ?? "",
        storeId: new Uint8Array(16),
        epoch: 1,
      }),
      handlers: () => ({ onMessage: () => {}, onClose: () => {} }),
    });
  }
}

/** The most dials within any `ms`. */
function crowd(dials: readonly number[], ms: number): number {
  let most = 0;
  for (const from of dials) {
    most = Math.max(
      most,
      dials.filter((at) => at >= from && at < from + ms).length,
    );
  }
  return most;
}

Deno.test("a fleet that lost its broker does not come back in step, and is back soon", async () => {
  const fleet = new Fleet();
  let close = fleet.listen();
  await fleet.start();
  assert.equal(fleet.up, FLEET);
  await fleet.clock.run(20_000, 500);
  await close();
  await fleet.clock.run(30_000);
  const away = fleet.dials.slice(FLEET);
  assert.ok(away.length < FLEET * 25, `${away.length} dials in 30 s`);
  const late = away.filter((at) => at > fleet.clock.monotonicMs() - 20_000);
  assert.ok(crowd(late, 100) <= FLEET / 4, `${crowd(late, 100)} in 100 ms`);
  const before = fleet.dials.length;
  close = fleet.listen();
  await fleet.clock.run(LIMITS.reconnectMaxMs + 500);
  assert.equal(fleet.up, FLEET);
  const back = fleet.dials.slice(before);
  assert.ok(crowd(back, 100) <= FLEET / 4, `${crowd(back, 100)} in 100 ms`);
  await close();
  await fleet.stop();
});

Deno.test("a broker that cuts right after WELCOME meets no storm", async () => {
  const fleet = new Fleet();
  fleet.cutsAtOnce = true;
  const close = fleet.listen();
  await fleet.start();
  await fleet.clock.run(30_000);
  assert.ok(
    fleet.dials.length < FLEET * 25,
    `${fleet.dials.length} dials in 30 s`,
  );
  await close();
  await fleet.stop();
});
