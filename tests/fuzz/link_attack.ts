/**
 * Daemons whose broker is hostile: whatever it sends, they stay up, their apps'
 * publishes get a receipt or a `MomError`, and what a broker never answered is there
 * for the next one, which means well.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Mom } from "../../daemon/client.ts";
import { Daemon } from "../../daemon/daemon.ts";
import { silentLogger } from "../../program/log.ts";
import { MomError } from "../../protocol/errors.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import {
  BUNDLE_PART_NUMBERS,
  type Message,
  type Welcome,
} from "../../protocol/messages.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { eventually, within } from "../helpers/eventually.ts";
import type { Random } from "../helpers/random.ts";
import type { Fields } from "./arbitraries.ts";
import { HOSTILE_EPOCH } from "./client_attack.ts";
import { joinBytes } from "./codec_target.ts";
import { bendFields, bendFrame, contentOf, cut, frameOf } from "./mutations.ts";
import { answerAttach, RawBroker } from "./raw_broker.ts";
import type { RawClient } from "./raw_client.ts";

const BROKER = { hostname: "127.0.0.1", port: 7000 };
const DAEMON = { hostname: "127.0.0.1", port: 7001 };
const FRAMES_A_LINK = 60;
/** Links of a daemon, before its broker is replaced. */
const LINKS = 4;
/** What only a broker that means well is sent an answer for. */
const KEPT = "kept";

/** One attack. */
export interface LinkAttack {
  readonly frames: number;
  readonly random: Random;
  readonly pool: readonly Fields[];
}

/** Lets daemons connect to hostile brokers until these have sent their frames. */
export async function attackLinks(
  { frames, random, pool }: LinkAttack,
): Promise<number> {
  const daemons = Math.ceil(frames / FRAMES_A_LINK / LINKS);
  const sent = await Promise.all(
    Array.from({ length: daemons }, () => attackLink(random.fork(), pool)),
  );
  return sent.reduce((sum, each) => sum + each, 0);
}

async function attackLink(
  random: Random,
  pool: readonly Fields[],
): Promise<number> {
  const network = new MemoryNetwork();
  const defects: unknown[] = [];
  const error = (event: string, fields?: unknown) =>
    void defects.push({ event, fields });
  let epoch = HOSTILE_EPOCH;
  const hostile = new RawBroker(network.listen(BROKER), {
    welcome: () => {
      if (random.chance(0.2)) return random.pick(STRANGE);
      epoch = random.chance(0.2) ? 2 ** 32 - 1 : HOSTILE_EPOCH;
      return { epoch };
    },
    serve: (peer) => pester(peer, random, pool, epoch),
  });
  const daemon = await Daemon.start({
    broker: BROKER,
    brokerToken: "0123456789abcdef0123456789abcdef",
    listen: DAEMON,
    listener: network.listen(DAEMON),
    insecureNoToken: true,
    data: ":memory:",
    machine: "north",
    dialer: network,
    logger: { ...silentLogger, error },
    onFailed: (reason) => void defects.push(reason),
  });
  const apps = await Promise.all(
    ["ana", "ben"].map((name) =>
      Mom.connect({ daemon: DAEMON, name, dialer: network })
    ),
  );
  const using = Promise.all(apps.map((app) => use(app, hostile)));
  await within("the end of all calls", 60_000, using);
  assert.deepEqual(defects, []);
  await hostile[Symbol.asyncDispose]();
  await checkAfterwards(network, daemon, apps[0]);
  await Promise.all(apps.map((app) => app.close()));
  await daemon.stop();
  assert.deepEqual(defects, []);
  return FRAMES_A_LINK * hostile.links;
}

/** A WELCOME that none can mean, and some that are strange and may be meant. */
const STRANGE: readonly Partial<Welcome>[] = [
  { epoch: 0 },
  { epoch: Number.MAX_SAFE_INTEGER },
  { maxMessageBytes: 0 },
  { maxMessageBytes: 1 },
  { maxMessageBytes: Number.MAX_SAFE_INTEGER },
  { heartbeatMs: 0 },
  { role: "daemon", machine: "\u0000" },
  { version: 2 },
];

/** An app's life, for as long as its daemon has a hostile broker. */
async function use(app: Mom, hostile: RawBroker): Promise<void> {
  await settle(app.subscribe("t"));
  for (let n = 0; hostile.links < LINKS && n < 2_000; n++) {
    await Promise.all([
      // In turn, so that they are a bundle.
      settle(app.publish("t/1", n, { timeoutMs: 5_000 })),
      settle(app.publish("t/2", n, { timeoutMs: 5_000 })),
      settle(app.publish("t/1", n, { timeoutMs: 5_000 })),
      settle(app.receiveMany({ timeoutMs: 5, max: 20 })),
    ]);
  }
}

/** What an error of the table ends with is fine. */
async function settle(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    assert(error instanceof MomError, `rejected with ${error}`);
  }
}

/** Opens as it should, then says anything, with some sense in between. */
async function pester(
  peer: RawClient,
  random: Random,
  pool: readonly Fields[],
  epoch: number,
): Promise<void> {
  for (let users = random.integer(0, 2); users > 0; users--) {
    const attach = await peer.next("ATTACH");
    if (attach === null) return;
    await answerAttach(peer, attach, epoch);
  }
  const frames: Uint8Array[] = [];
  for (let n = 0; n < FRAMES_A_LINK; n++) {
    if (random.chance(0.3)) frames.push(encodeFrame(answerTo(peer, random)));
    const fields = random.pick(pool);
    const bent = random.chance(0.8) ? fields : bendFields(fields, random);
    frames.push(frameOf(contentOf(bent)));
  }
  if (random.chance(0.3)) frames.push(bendFrame(frames.pop()!, random));
  for (const piece of cut(joinBytes(frames), random)) await peer.send(piece);
  await peer.isThrough();
  // What a defect of the daemon would be answered with.
  assert.doesNotMatch(peer.lastError?.message ?? "", /internal error/);
}

/** An answer to the last thing that was asked, of any kind. */
function answerTo(peer: RawClient, random: Random): Message {
  const request = random.pick(lastRequests(peer));
  const last = random.pick([0, 1, 2, -1, 1.5, NaN, 2 ** 53 - 1, "x", null]);
  const code = random.pick([
    "out_of_sequence",
    "storage_full",
    "user_expired",
    "bad_message",
    "no code",
  ]);
  return random.pick<Message>([
    { type: "OK", request },
    { type: "RECEIPT", request, level: 1, offset: random.pick([null, 7]) },
    {
      type: "ERROR",
      request,
      code,
      message: "no",
      details: new Map([["last", last]]),
    },
  ]);
}

/** Those of the last message that has any: a bundle has some. */
function lastRequests(peer: RawClient): readonly number[] {
  for (const each of peer.heard.toReversed()) {
    if (each.type === "BUNDLE") {
      return each.parts.filter((_, i) => i % BUNDLE_PART_NUMBERS === 0);
    }
    if ("request" in each) return [each.request ?? 0];
  }
  return [0];
}

/** A broker that means well takes over: everything works, and nothing is stuck. */
async function checkAfterwards(
  network: MemoryNetwork,
  daemon: Daemon,
  app: Mom,
): Promise<void> {
  const { level } = await app.publish(KEPT, "kept", { timeoutMs: 10_000 });
  assert.equal(level, "daemon");
  await using broker = await Broker.start({
    data: ":memory:",
    insecureNoToken: true,
    listener: network.listen(BROKER),
  });
  await using reader = await Mom.connect({ broker: BROKER, dialer: network });
  await reader.subscribe(KEPT, { from: "earliest" });
  const message = await reader.receive({ timeoutMs: 20_000 });
  assert.equal(message?.value, "kept");
  await eventually("an empty outbox", () => {
    return daemon.status().outbox!.messages === 0;
  }, { timeoutMs: 20_000 });
  void broker;
}
