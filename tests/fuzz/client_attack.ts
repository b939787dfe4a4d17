/**
 * Apps that have connected to a hostile daemon: whatever it sends, every call ends
 * with a result or a `MomError`.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ByteStream } from "../../protocol/byte_stream.ts";
import { MomError } from "../../protocol/errors.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import { Mom } from "../../daemon/client.ts";
import { memoryPair } from "../../transport/memory.ts";
import { within } from "../helpers/eventually.ts";
import type { Random } from "../helpers/random.ts";
import type { Fields } from "./arbitraries.ts";
import { joinBytes } from "./codec_target.ts";
import { bendFields, bendFrame, contentOf, cut, frameOf } from "./mutations.ts";
import { RawClient } from "./raw_client.ts";

/** The epoch that the hostile daemon tells. */
export const HOSTILE_EPOCH = 9;
const FRAMES_A_CONNECTION = 60;
/** Connections that an app gets, one after the other. */
const CONNECTIONS = 2;

/** One attack. */
export interface ClientAttack {
  readonly frames: number;
  readonly random: Random;
  readonly pool: readonly Fields[];
}

/** Lets apps connect to hostile daemons until these have sent their frames. */
export async function attackClients(
  { frames, random, pool }: ClientAttack,
): Promise<number> {
  const apps = Math.ceil(frames / FRAMES_A_CONNECTION / CONNECTIONS);
  const sent = await Promise.all(
    Array.from({ length: apps }, () => attackClient(random.fork(), pool)),
  );
  return sent.reduce((sum, each) => sum + each, 0);
}

async function attackClient(
  random: Random,
  pool: readonly Fields[],
): Promise<number> {
  const serving: Promise<void>[] = [];
  const mom = await Mom.connect({
    daemon: "127.0.0.1:7000",
    token: "0123456789abcdef",
    reconnectTimeoutMs: 300,
    dialer: {
      dial: () => {
        if (serving.length === CONNECTIONS) {
          return Promise.reject(new Error("enough"));
        }
        const [near, far] = memoryPair();
        serving.push(serve(far, random, pool));
        return Promise.resolve(near);
      },
    },
  });
  await within("the end of all calls", 30_000, use(mom));
  await mom.close();
  await Promise.all(serving);
  return FRAMES_A_CONNECTION * serving.length;
}

/** Everything that an app can wait for. */
async function use(mom: Mom): Promise<void> {
  const signal = AbortSignal.timeout(2_000);
  await Promise.all([
    settle(mom.subscribe("t")),
    settle(mom.unsubscribe("u")),
    settle(mom.publishMany("t", [1, 2, 3], { timeoutMs: 200 })),
    settle(mom.publish("u", "x", { level: "broker", timeoutMs: 200 })),
    // In turn, so that they are a bundle.
    ...["t", "u", "t", "v"].map((topic) =>
      settle(mom.publish(topic, topic, { timeoutMs: 200 }))
    ),
    receiveAll(mom, signal),
  ]);
}

async function receiveAll(mom: Mom, signal: AbortSignal): Promise<void> {
  for (let n = 0; n < 500; n++) {
    if (signal.aborted) return;
    const message = await settle(mom.receive({ timeoutMs: 100 }));
    if (message === undefined || message === null) return;
    if (n % 3 === 0) void settle(message.ack());
  }
}

/** The result, or `undefined` for an error of the table. */
async function settle<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    assert(error instanceof MomError, `rejected with ${error}`);
  }
}

/** Opens as it should, then sends anything. */
async function serve(
  stream: ByteStream,
  random: Random,
  pool: readonly Fields[],
): Promise<void> {
  const peer = new RawClient(stream);
  await peer.next("HELLO");
  await peer.say({
    type: "WELCOME",
    version: 1,
    software: "hostile",
    role: "daemon",
    machine: "north",
    features: random.chance(0.8) ? ["bundles"] : [],
    maxMessageBytes: 8 * 1024 * 1024,
    heartbeatMs: 10_000,
    storeId: new Uint8Array(16),
    epoch: HOSTILE_EPOCH,
  });
  const attach = await peer.next("ATTACH");
  if (attach !== null) {
    const { request, ref, incarnation } = attach;
    const user = `${attach.name}@north`;
    const [suspect, epoch] = [0, HOSTILE_EPOCH];
    await peer.send(joinBytes([
      encodeFrame({
        type: "ATTACHED",
        request,
        ref,
        user,
        incarnation,
        suspect,
        epoch,
      }),
    ]));
    await pester(peer, random, pool);
  }
  // What a defect of the app's side would be answered with.
  assert.equal(peer.errors.get("internal"), undefined);
  await peer.close();
}

async function pester(
  peer: RawClient,
  random: Random,
  pool: readonly Fields[],
): Promise<void> {
  const frames: Uint8Array[] = [];
  for (let n = 0; n < FRAMES_A_CONNECTION; n++) {
    const fields = random.pick(pool);
    const bent = random.chance(0.7) ? fields : bendFields(fields, random);
    frames.push(frameOf(contentOf(bent)));
  }
  if (random.chance(0.3)) frames.push(bendFrame(frames.pop()!, random));
  for (const piece of cut(joinBytes(frames), random)) await peer.send(piece);
  await peer.isThrough();
}
