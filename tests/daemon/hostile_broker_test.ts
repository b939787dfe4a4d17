/**
 * A daemon whose broker is hostile: it stays up, its memory and disk bounded, its
 * apps go on with level `daemon`, and it does not hammer at the broker's door.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Mom } from "../../daemon/client.ts";
import { Daemon } from "../../daemon/daemon.ts";
import type { DaemonOptions } from "../../daemon/options.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { toLogId } from "../../protocol/log_id.ts";
import type { Message, Welcome } from "../../protocol/messages.ts";
import { encodeRecord } from "../../protocol/record.ts";
import { silentLogger } from "../../program/log.ts";
import { listen } from "../../transport/dial.ts";
import { joinBytes } from "../fuzz/codec_target.ts";
import { answerAttach, RAW_EPOCH, RawBroker } from "../fuzz/raw_broker.ts";
import type { RawClient } from "../fuzz/raw_client.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import { systemEntropy } from "../../protocol/clock.ts";
import { Link } from "../../daemon/link.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { eventually, pause } from "../helpers/eventually.ts";
import { FakeClock } from "../helpers/fake_clock.ts";

const LOG = toLogId(RAW_EPOCH, 4);

/** A hostile broker, a daemon, and an app with a name. */
class Scene implements AsyncDisposable {
  readonly defects: unknown[] = [];
  readonly broker: RawBroker;
  daemon!: Daemon;
  app!: Mom;

  private constructor(broker: RawBroker) {
    this.broker = broker;
  }

  static async open(
    serve: (peer: RawClient) => Promise<void>,
    options: Partial<DaemonOptions> & { welcome?: () => Partial<Welcome> } = {},
  ): Promise<Scene> {
    const { welcome, ...rest } = options;
    const listener = listen({ hostname: "127.0.0.1", port: 0 });
    const scene = new Scene(new RawBroker(listener, { serve, welcome }));
    const error = (event: string, fields?: unknown) =>
      void scene.defects.push({ event, fields });
    scene.daemon = await Daemon.start({
      broker: scene.broker.address,
      brokerToken: "0123456789abcdef0123456789abcdef",
      listen: { port: 0 },
      data: ":memory:",
      machine: "north",
      logger: { ...silentLogger, error },
      onFailed: (reason) => void scene.defects.push(reason),
      ...rest,
    });
    scene.app = await scene.connect("ana");
    return scene;
  }

  connect(name: string): Promise<Mom> {
    const { address: daemon, token } = this.daemon;
    return Mom.connect({ daemon, token, name });
  }

  get reason(): string {
    return this.daemon.status().link?.reason ?? "";
  }

  /** The link was ended, and not by a defect; publishes go on. */
  async endsWith(code: string): Promise<void> {
    await eventually(
      `a link that ends with ${code}`,
      () => this.reason.startsWith(`${code}:`),
    );
    await this.check();
  }

  async check(): Promise<void> {
    const { level } = await this.app.publish("t", 1, { timeoutMs: 10_000 });
    assert.equal(level, "daemon");
    assert.deepEqual(this.defects, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close();
    await this.daemon.stop();
    await this.broker[Symbol.asyncDispose]();
  }
}

function deliver(
  ref: number,
  offset: number,
  fields: Partial<Message & { type: "DELIVER" }> = {},
): Message {
  return {
    type: "DELIVER",
    targets: [ref, 0],
    logId: LOG,
    topic: "t",
    baseOffset: offset,
    count: 1,
    position: offset + 1,
    time: 1,
    sender: "ben@south",
    attributes: null,
    batch: encodeRecord("x"),
    ...fields,
  };
}

/** Attaches the first user, and gives its ref. */
async function attach(peer: RawClient): Promise<number> {
  const message = await peer.next("ATTACH", 60_000);
  if (message === null) return 0;
  await answerAttach(peer, message);
  return message.ref;
}

/** What a broker says that no broker may say, to a daemon with one user attached. */
const LIES: Record<string, (ref: number) => Message> = {
  "CONFIRM of an ACK that was never sent": (ref) => ({
    type: "CONFIRM",
    ref,
    number: 2 ** 53 - 1,
  }),
  "DELIVER of another epoch": (ref) =>
    deliver(ref, 0, { logId: toLogId(RAW_EPOCH + 1, 4) }),
  "DELIVER of a log of no epoch": (ref) => deliver(ref, 0, { logId: 0 }),
  "DELIVER with a count that does not match": (ref) =>
    deliver(ref, 0, { count: 2 }),
  "DELIVER that ends at 2^53": (ref) =>
    deliver(ref, 2 ** 53 - 1, { position: 1 }),
  "GAP of another epoch": (ref) => ({
    type: "GAP",
    targets: [ref, 0],
    logId: 7,
    from: 0,
    to: 2 ** 53 - 1,
    reason: "trimmed",
  }),
  "RECEIPT of level daemon": () => ({
    type: "RECEIPT",
    request: 1,
    level: 0,
    offset: null,
  }),
};

for (const [what, message] of Object.entries(LIES)) {
  Deno.test(`Daemon ends a link whose broker sends ${what}`, async () => {
    await using scene = await Scene.open(async (peer) => {
      await peer.say(message(await attach(peer)));
      await peer.ended;
    });
    await scene.endsWith("bad_message");
  });
}

const SIZE = encodeRecord("x").length;

/** A bundle of two topics. */
function deliverBundle(
  ref: number,
  fields: Partial<Message & { type: "DELIVER_BUNDLE" }> = {},
): Message {
  return {
    type: "DELIVER_BUNDLE",
    refs: [ref],
    position: 1,
    time: 1,
    sender: "ben@south",
    attributes: null,
    topics: ["t", "u"],
    parts: [LOG, 0, 1, 0, SIZE, LOG + 1, 0, 1, 0, SIZE],
    order: Uint8Array.of(1, 0),
    batch: joinBytes([encodeRecord("x"), encodeRecord("y")]),
    ...fields,
  };
}

/** Bundles that no broker may send. */
const BUNDLE_LIES: Record<string, (ref: number) => Message> = {
  "whose order names no part": (ref) =>
    deliverBundle(ref, { order: Uint8Array.of(0, 2) }),
  "with another count than its batch": (ref) =>
    deliverBundle(ref, {
      parts: [LOG, 0, 2, 0, SIZE, LOG + 1, 0, 1, 0, SIZE],
      order: Uint8Array.of(0, 1, 0),
    }),
  "of another epoch": (ref) =>
    deliverBundle(ref, {
      parts: [LOG, 0, 1, 0, SIZE, toLogId(RAW_EPOCH + 1, 4), 0, 1, 0, SIZE],
    }),
  "that ends at 2^53": (ref) =>
    deliverBundle(ref, {
      parts: [LOG, 2 ** 53 - 1, 1, 0, SIZE, LOG + 1, 0, 1, 0, SIZE],
    }),
};

for (const [what, message] of Object.entries(BUNDLE_LIES)) {
  Deno.test(`Daemon ends a link whose broker sends a bundle ${what}`, async () => {
    await using scene = await Scene.open(async (peer) => {
      await peer.say(message(await attach(peer)));
      await peer.ended;
    }, { welcome: () => ({ features: ["bundles"] }) });
    await scene.endsWith("bad_message");
  });
}

Deno.test("Daemon ends a link whose broker sends a bundle that was not agreed on", async () => {
  await using scene = await Scene.open(async (peer) => {
    await peer.say(deliverBundle(await attach(peer)));
    await peer.ended;
  }, { welcome: () => ({ features: [] }) });
  await scene.endsWith("unsupported");
});

Deno.test("Daemon hands a bundle of its broker over in its order", async () => {
  await using scene = await Scene.open(async (peer) => {
    await peer.say(deliverBundle(await attach(peer)));
    await peer.ended;
  }, { welcome: () => ({ features: ["bundles"] }) });
  const messages = [
    await scene.app.receive({ timeoutMs: 10_000 }),
    await scene.app.receive({ timeoutMs: 10_000 }),
  ];
  assert.deepEqual(messages.map((each) => [each?.topic, each?.value]), [
    ["u", "y"],
    ["t", "x"],
  ]);
});

Deno.test("Daemon ends a link whose broker answers something else than was asked", async () => {
  for (const type of ["OK", "ATTACHED"] as const) {
    await using scene = await Scene.open(async (peer) => {
      const message = await peer.next("ATTACH", 60_000);
      if (message === null) return;
      const { request } = message;
      if (type === "OK") await peer.say({ type, request });
      else await answerAttach(peer, message, RAW_EPOCH + 1);
      await peer.ended;
    });
    await scene.endsWith("bad_message");
  }
});

Deno.test("Daemon takes no WELCOME with an epoch or a limit that none can have", async () => {
  const strange: Partial<Welcome>[] = [
    { epoch: 0 },
    { epoch: 2 ** 32 },
    { epoch: 2 ** 53 - 1 },
    { maxMessageBytes: 0 },
    { maxMessageBytes: 2 ** 53 - 1 },
    { maxMessageBytes: 2 ** 28 + 1 },
  ];
  for (const fields of strange) {
    await using scene = await Scene.open((peer) => peer.ended, {
      welcome: () => fields,
    });
    await scene.endsWith("bad_message");
    assert.notEqual(scene.daemon.status().link?.state, "up");
  }
});

Deno.test("Daemon takes no more than it has granted, whether its app reads or not", async () => {
  for (const isReading of [true, false]) {
    let sent = 0;
    await using scene = await Scene.open(async (peer) => {
      const ref = await attach(peer);
      // In one log for each, so that none is known already.
      for (let n = 0; !peer.isEnded && sent < 400 * 2 ** 20; n++) {
        const batch = encodeRecord(new Uint8Array(50_000));
        await peer.send(encodeFrame(deliver(ref, n, { batch })));
        sent += batch.length;
      }
    }, { inboxBytesMax: 2 ** 20 });
    if (isReading) await scene.app.receive({ timeoutMs: 5_000 });
    await scene.endsWith("bad_message");
    // A window and what the sockets hold, for each of a few links.
    const { links } = scene.broker;
    assert(sent < (links + 1) * 12 * 2 ** 20, `${sent} bytes, ${links} links`);
    assert(scene.daemon.status().inbox!.bytes < 8 * 2 ** 20);
  }
});

Deno.test("Daemon takes a record larger than the window when that is free, and gives credit for it", async () => {
  const credits: number[] = [];
  await using scene = await Scene.open(async (peer) => {
    const ref = await attach(peer);
    for (let n = 0; n < 3; n++) {
      const batch = encodeRecord(new Uint8Array(5_000_000));
      await peer.say(deliver(ref, n, { batch }));
      let credit = await peer.next("CREDIT");
      while (credit?.ref === null) credit = await peer.next("CREDIT");
      credits.push(credit?.total ?? 0);
    }
    await peer.ended;
  });
  await eventually("credit for three", () => credits.length === 3);
  // Never more than what has come and a window.
  credits.forEach((total, n) =>
    assert(total <= (n + 1) * 5_000_100 + 2 ** 21, `${total} after ${n + 1}`)
  );
  await scene.check();
});

Deno.test("Daemon keeps at most so many ranges for a user that its broker never confirms", async () => {
  let sent = 0;
  await using scene = await Scene.open(async (peer) => {
    const ref = await attach(peer);
    let granted: number = LIMITS.windowBytesFirst;
    let cost = 0;
    while (!peer.isEnded && sent < 2 * LIMITS.markRanges) {
      // None next to another.
      const messages = Array.from(
        { length: 500 },
        (_, i) => deliver(ref, 2 * (sent + i)),
      );
      await peer.send(joinBytes(messages.map(encodeFrame)));
      sent += 500;
      cost += 500 * 40;
      while (cost + 500 * 40 > granted) {
        const credit = await peer.next("CREDIT", 60_000);
        if (credit === null) return;
        if (credit.ref === ref) granted = credit.total;
      }
    }
  });
  const stored = () => scene.daemon.status().inbox!.messages;
  await eventually("more than are taken", () => {
    return stored() >= LIMITS.markRanges && sent - stored() >= 10_000;
  }, { timeoutMs: 60_000, intervalMs: 200 });
  assert(stored() < LIMITS.markRanges + 5_000, `${stored()}`);
  await scene.check();
});

Deno.test("Daemon goes on for its apps while its broker says it lives and takes nothing", async () => {
  await using scene = await Scene.open(async (peer) => {
    await attach(peer);
    peer.stopReading();
    while (!peer.isEnded) {
      await peer.say({ type: "PING", token: 1 });
      await pause(20);
    }
  }, { heartbeatMs: 200 });
  // At once, so that all of it is on its way before anybody notices.
  const values = new Array(40).fill(new Uint8Array(1_000_000));
  await scene.app.publishMany("t", values, { timeoutMs: 10_000 });
  await scene.check();
});

Deno.test("Daemon takes to its outbox what a broker answers without taking it, and gives it up", async () => {
  let isOver = false;
  await using scene = await Scene.open(async (peer) => {
    await attach(peer);
    peer.stopReading();
    // Whatever number a publish has, it is answered.
    while (!peer.isEnded && !isOver) {
      const receipts = Array.from(
        { length: 200 },
        (_, n) =>
          encodeFrame({ type: "RECEIPT", request: n, level: 1, offset: null }),
      );
      await peer.send(joinBytes(receipts));
      await pause(1);
    }
  }, { heartbeatMs: 300 });
  const value = new Uint8Array(1_000_000);
  for (let n = 0; n < 80; n++) {
    await scene.app.publish("t", value, { timeoutMs: 10_000 });
  }
  const { bytes } = scene.daemon.status().outbox!;
  assert(bytes > 40_000_000, `${bytes} bytes in the outbox`);
  await scene.endsWith("broker_unavailable");
  isOver = true;
});

Deno.test("Daemon tells an app when its broker answers a SUBSCRIBE never", async () => {
  const clock = new FakeClock();
  await using scene = await Scene.open(async (peer) => {
    await attach(peer);
    await peer.next("SUBSCRIBE");
    while (!peer.isEnded) {
      clock.advance(1_000);
      await peer.say({ type: "PING", token: 1 });
      await peer.next("PONG");
    }
  }, { clock });
  await assert.rejects(
    scene.app.subscribe("t"),
    { code: "outcome_unknown", message: /no answer of the broker/ },
  );
  assert.equal(scene.daemon.status().link?.state, "up");
});

Deno.test("Daemon waits longer and longer for a broker that talks nonsense, however late", async () => {
  const clock = new FakeClock();
  const network = new MemoryNetwork();
  const address = "127.0.0.1:7000";
  await using broker = new RawBroker(network.listen(address), {
    serve: async (peer) => {
      // Long enough to be taken for a link that holds.
      clock.advance(LIMITS.reconnectSettledMs);
      await peer.send(Uint8Array.of(1, 2, 3));
      await peer.ended;
    },
  });
  const link = new Link({
    dialer: network,
    address,
    clock,
    entropy: { ...systemEntropy, fraction: () => 1 },
    heartbeatMs: LIMITS.heartbeatMs,
    logger: silentLogger,
    machine: "north",
    machineKey: new Uint8Array(16),
    credit: 1,
    token: () => Promise.resolve(null),
    onUp: () => {},
    onMessage: () => {},
    onDown: () => {},
  });
  await link.start();
  await clock.run(60_000, 100);
  // 12 s at the longest wait alone, and what is waited before it gets so long.
  assert(broker.links > 6 && broker.links < 30, `${broker.links} links`);
  const stopping = link.stop();
  await clock.run(1_000);
  await stopping;
});
