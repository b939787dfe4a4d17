/** Strangers at a broker's door (DESIGN 4, PROTOCOL 3.4), on virtual time. */

import assert from "node:assert/strict";
import type { ByteStream } from "../../protocol/byte_stream.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Part } from "./part.ts";
import { Patches } from "./patches.ts";
import { BROKER_ADDRESS } from "./slot.ts";
import { World } from "./world.ts";

const STRANGERS = 300;
const WELCOMED_MAX = 256;
const RUN = { untilMs: 100_000, events: 100_000 };

/** What a broker lets strangers do that it must not. */
async function findFaults(): Promise<string[]> {
  const world = new World(1);
  const { kernel, network, broker } = world;
  const stranger = new Part("stranger", kernel);
  const dialer = network.dialer(stranger);
  const faults: string[] = [];
  let closed = 0;
  const play = async () => {
    broker.launch();
    await world.until(() => broker.status() !== null, 5_000, 1);
    const large = await dialer.dial(BROKER_ADDRESS);
    await large.write(new Uint8Array([0x5a, 0, 0, 0x20, 0]));
    const answer = await large.read();
    if (answer === null || await large.read() !== null) {
      faults.push("a frame of 8 KiB may come");
    }
    for (let n = 0; n < STRANGERS; n++) {
      const stream: ByteStream = await dialer.dial(BROKER_ADDRESS);
      void stream.read().then(() => closed++);
    }
    await kernel.sleep(1_000, null);
    if (closed !== STRANGERS - WELCOMED_MAX) {
      faults.push(`${STRANGERS - closed} may wait at once`);
    }
    await kernel.sleep(5_000, null);
    if (closed !== STRANGERS) faults.push("one may say nothing for 5 s");
  };
  let isOver = false;
  void play().finally(() => isOver = true);
  // A frame that may come leaves the one who waits for its refusal alone.
  if (!await kernel.run(() => isOver, RUN)) faults.push("no answer");
  for (const part of [stranger, broker.part]) part?.kill();
  return faults;
}

Deno.test("no stranger takes more than it may before WELCOME", async () => {
  assert.deepEqual(await findFaults(), []);
});

for (
  const limit of [
    "helloFrameBytes",
    "helloMs",
    "unwelcomedConnections",
  ] as const
) {
  Deno.test(`no stranger's check passes when ${limit} is no limit`, async () => {
    using patches = new Patches();
    patches.set(LIMITS, limit, 1e9);
    assert.notDeepEqual(await findFaults(), []);
  });
}
