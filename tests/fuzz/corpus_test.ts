/**
 * What once broke something, or nearly: frames in hex, sent behind an ATTACH to broker
 * and daemon, with the link between them up and down.
 *
 * @module
 */

import assert from "node:assert/strict";
import { IDS } from "./arbitraries.ts";
import { joinBytes, readContent } from "./codec_target.ts";
import { helloOf } from "./raw_client.ts";
import { Stage, type Victim } from "./stage.ts";

const FOLDER = new URL("./corpus/", import.meta.url);

interface Case {
  readonly what: string;
  readonly frames: readonly string[];
}

async function send(stage: Stage, victim: Victim, frames: Uint8Array[]) {
  const client = await stage.dial(victim);
  await client.say(helloOf());
  assert.notEqual(await client.next("WELCOME"), null);
  assert.notEqual(await client.attach("ana", IDS[0], { named: true }), null);
  await client.send(joinBytes(frames));
  await client.isThrough();
  await client.close();
  assert.equal(client.errors.get("internal"), undefined);
}

for await (const { name } of Deno.readDir(FOLDER)) {
  const { what, frames }: Case = JSON.parse(
    await Deno.readTextFile(new URL(name, FOLDER)),
  );
  Deno.test(`${name}: ${what}`, async () => {
    const bytes = frames.map((each) => Uint8Array.fromHex(each));
    for (const frame of bytes) readContent(frame.subarray(5));
    await using stage = await Stage.open();
    await send(stage, "broker", bytes);
    await send(stage, "daemon", bytes);
    await stage.check();
    // And on the safe road.
    stage.network.cut("127.0.0.1:7000");
    await send(stage, "daemon", bytes);
    await stage.check();
  });
}
