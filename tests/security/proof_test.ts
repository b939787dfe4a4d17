/**
 * Who has no token is not let in, and learns nothing from how (PROTOCOL 3.2).
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Daemon } from "../../daemon/daemon.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import type { Message } from "../../protocol/messages.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { contentOf, frameOf } from "../fuzz/mutations.ts";
import { helloOf, proofOf, RawClient } from "../fuzz/raw_client.ts";

const TOKEN = "correct-horse-battery-staple";
const ADDRESSES = { broker: "127.0.0.1:7000", daemon: "127.0.0.1:7001" };
type Victim = keyof typeof ADDRESSES;

/** A broker and a daemon that ask for the token. */
class Guarded implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  #broker!: Broker;
  #daemon!: Daemon;

  static async start(): Promise<Guarded> {
    const guarded = new Guarded();
    const { network } = guarded;
    const common = { data: ":memory:", token: TOKEN };
    guarded.#broker = await Broker.start({
      ...common,
      listener: network.listen(ADDRESSES.broker),
    });
    guarded.#daemon = await Daemon.start({
      ...common,
      machine: "north",
      broker: ADDRESSES.broker,
      brokerToken: TOKEN,
      listen: { hostname: "127.0.0.1", port: 7001 },
      listener: network.listen(ADDRESSES.daemon),
      dialer: network,
    });
    return guarded;
  }

  /** A connection that has been asked for its proof. */
  async challenged(
    victim: Victim,
  ): Promise<
    { client: RawClient; clientNonce: Uint8Array; nonce: Uint8Array }
  > {
    const client = new RawClient(await this.network.dial(ADDRESSES[victim]));
    const hello = helloOf({
      nonce: crypto.getRandomValues(new Uint8Array(16)),
    });
    await client.say(hello);
    const challenge = await client.next("CHALLENGE");
    assert(challenge !== null);
    return { client, clientNonce: hello.nonce, nonce: challenge.nonce };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon.stop();
    await this.#broker.stop();
  }
}

/** Bytes in place of a proof, by what is wrong with them. */
type Attempt = (
  clientNonce: Uint8Array,
  nonce: Uint8Array,
) => Promise<Uint8Array> | Uint8Array;

const auth = (proof: Uint8Array) => encodeFrame({ type: "AUTH", proof });

function attempts(seen: Uint8Array): Record<string, Attempt> {
  const right = (a: Uint8Array, b: Uint8Array) => proofOf(TOKEN, a, b);
  return {
    "a wrong one": () => auth(new Uint8Array(32)),
    "that of another token": async (a, b) =>
      auth(await proofOf("another-token-than-that", a, b)),
    "one with its last bit wrong": async (a, b) => {
      const proof = await right(a, b);
      proof[31] ^= 1;
      return auth(proof);
    },
    "one without its end": async (a, b) =>
      auth((await right(a, b)).subarray(0, 31)),
    "one with more behind it": async (a, b) =>
      auth(Uint8Array.of(...await right(a, b), 0)),
    "none": () => auth(new Uint8Array(0)),
    "one that was good before": () => auth(seen),
    "one over swapped nonces": async (a, b) => auth(await right(b, a)),
    "the token itself": () => auth(new TextEncoder().encode(TOKEN)),
    "no bytes": () => frameOf(contentOf([3, null])),
    "no field": () => frameOf(contentOf([3])),
    "another message": () =>
      encodeFrame({ type: "DETACH", request: 1, ref: 1 }),
    "a second HELLO": () => encodeFrame(helloOf()),
    "an ERROR": () => encodeFrame(toError()),
  };
}

function toError(): Message {
  const [request, details] = [null, null];
  return { type: "ERROR", request, code: "closed", message: "", details };
}

for (const victim of ["broker", "daemon"] as const) {
  Deno.test(`[P-3.2] ${victim}: whatever is wrong with a proof, the answer is the same, and the end`, async () => {
    await using guarded = await Guarded.start();
    const first = await guarded.challenged(victim);
    const seen = await proofOf(TOKEN, first.clientNonce, first.nonce);
    await first.client.say({ type: "AUTH", proof: seen });
    assert.notEqual(await first.client.next("WELCOME"), null);
    await first.client.close();
    for (const [what, attempt] of Object.entries(attempts(seen))) {
      const { client, clientNonce, nonce } = await guarded.challenged(victim);
      await client.send(await attempt(clientNonce, nonce));
      await client.ended;
      assert.deepEqual(client.lastError, {
        type: "ERROR",
        request: null,
        code: "unauthorized",
        message: "Cannot connect: the proof does not fit the token",
        details: null,
      }, what);
      assert.deepEqual([...client.errors], [["unauthorized", 1]], what);
    }
  });
}

Deno.test("[P-3.2] the time of a refusal does not tell what was wrong", async () => {
  await using guarded = await Guarded.start();
  const kinds = attempts(new Uint8Array(32));
  const times = new Map<string, number[]>(
    Object.keys(kinds).map((what) => [what, []]),
  );
  // In turns, so that all kinds see the same weather.
  for (let round = 0; round < 41; round++) {
    for (const [what, attempt] of Object.entries(kinds)) {
      const { client, clientNonce, nonce } = await guarded.challenged("broker");
      const bytes = await attempt(clientNonce, nonce);
      const beganMs = performance.now();
      await client.send(bytes);
      await client.next("ERROR");
      times.get(what)!.push(performance.now() - beganMs);
      await client.close();
    }
  }
  const medians = [...times.values()].map((list) =>
    list.sort((a, b) => a - b)[20]
  );
  const [least, most] = [Math.min(...medians), Math.max(...medians)];
  // A comparison that stops at the first difference would be lost in this as
  // well: what is kept out is an answer without any work.
  assert(most < 2 * least + 0.5, `medians from ${least} to ${most} ms`);
});
