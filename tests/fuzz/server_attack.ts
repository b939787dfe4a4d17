/**
 * Connections that open well and then send whatever comes to mind, to a broker or a
 * daemon.
 *
 * @module
 */

import assert from "node:assert/strict";
import { encodeFrame } from "../../protocol/frames.ts";
import type { Random } from "../helpers/random.ts";
import { type Fields, IDS } from "./arbitraries.ts";
import { joinBytes } from "./codec_target.ts";
import { bendFields, bendFrame, contentOf, cut, frameOf } from "./mutations.ts";
import { helloOf, type RawClient } from "./raw_client.ts";
import type { Stage, Victim } from "./stage.ts";

/** Frames sent before their end is waited for. */
const BURST = 40;

/** One attack. */
export interface ServerAttack {
  readonly stage: Stage;
  readonly victim: Victim;
  /** How many frames are sent, about. */
  readonly frames: number;
  readonly random: Random;
  /** Messages to begin with. */
  readonly pool: readonly Fields[];
}

let machines = 0;

/** Sends frames; gives how many, and the codes of the answers. */
export async function attackServer(
  attack: ServerAttack,
): Promise<{ sent: number; errors: Map<string, number> }> {
  const errors = new Map<string, number>();
  let sent = 0;
  while (sent < attack.frames) {
    const client = await open(attack);
    let isThrough = true;
    while (isThrough && sent < attack.frames) {
      const burst = makeBurst(attack);
      sent += burst.length;
      for (const piece of cut(joinBytes(burst), attack.random)) {
        await client.send(piece);
      }
      isThrough = await client.isThrough();
    }
    await client.close();
    for (const [code, count] of client.errors) {
      errors.set(code, (errors.get(code) ?? 0) + count);
    }
    assert.equal(client.errors.get("internal"), undefined);
    assert.deepEqual(attack.stage.defects, []);
  }
  return { sent, errors };
}

async function open({ stage, victim, random }: ServerAttack) {
  const client = await stage.dial(victim);
  client.hangsUp = true;
  const isDaemon = victim === "broker" && random.chance(0.4);
  await client.say(helloOf({
    features: random.chance(0.9) ? ["bundles"] : [],
    ...isDaemon
      ? { role: "daemon", machine: `m${++machines}`, machineKey: IDS[0] }
      : {},
  }));
  assert.notEqual(await client.next("WELCOME"), null);
  if (random.chance(0.9)) await attach(client, random);
  return client;
}

async function attach(client: RawClient, random: Random): Promise<void> {
  const [incarnation, handle] = [random.pick(IDS), random.pick(IDS)];
  await client.send(joinBytes([
    encodeFrame({ type: "INTRODUCE", producer: handle, user: "ana" }),
    encodeFrame({
      type: "ATTACH",
      request: 0,
      ref: 1,
      name: random.pick(["ana", "ben", `guest-${random.integer(0, 99)}`]),
      named: random.chance(0.5),
      incarnation,
      create: true,
      handle,
      credit: random.pick([0, 1_000, 2 ** 53 - 1]),
      known: [],
    }),
  ]));
}

/** Most are fine or nearly so; the last may be none at all. */
function makeBurst({ random, pool }: ServerAttack): Uint8Array[] {
  const burst: Uint8Array[] = [];
  for (let n = 0; n < BURST; n++) {
    const fields = random.pick(pool);
    const bent = random.chance(0.5) ? fields : bendFields(fields, random);
    burst.push(frameOf(contentOf(bent)));
  }
  if (random.chance(0.2)) burst.push(bendFrame(burst.pop()!, random));
  return burst;
}
