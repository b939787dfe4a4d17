/**
 * What a stranger is answered whose BUNDLEs are wrong (PROTOCOL 3.8 and 8.12), by
 * broker and daemon, whether the broker answers that or not.
 *
 * @module
 */

import assert from "node:assert/strict";
import { joined } from "../../protocol/bundle.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Bundle } from "../../protocol/messages.ts";
import { encodeRecord } from "../../protocol/record.ts";
import { eventually } from "../helpers/eventually.ts";
import { IDS } from "./arbitraries.ts";
import { helloOf, type RawClient } from "./raw_client.ts";
import { Stage, type Victim } from "./stage.ts";

const BROKER = "127.0.0.1:7000";
const RECORD = encodeRecord("x");
const SIZE = RECORD.length;

/** Records of two topics in turn. */
function bundle(fields: Partial<Bundle> = {}): Bundle {
  return {
    type: "BUNDLE",
    producer: IDS[0],
    attributes: null,
    wanted: 0,
    topics: ["t", "u"],
    parts: [11, 0, 1, 2, 2 * SIZE, 12, 0, 1, 1, SIZE],
    order: Uint8Array.of(0, 1, 0),
    batch: joined([RECORD, RECORD, RECORD]),
    ...fields,
  };
}

async function attached(
  stage: Stage,
  victim: Victim,
  features: string[] = ["bundles"],
): Promise<RawClient> {
  const client = await stage.dial(victim);
  await client.say(helloOf({ features }));
  const welcome = await client.next("WELCOME");
  assert.deepEqual(welcome?.features, features);
  assert.notEqual(await client.attach("ana", IDS[0]), null);
  return client;
}

/** How much is stored anywhere. */
function storedIn({ broker, daemon }: Stage): number {
  return broker.status().totals.published + daemon.status().outbox!.messages;
}

const big = new Uint8Array(LIMITS.bundledRecordBytes - 10);
const large = encodeRecord(new Uint8Array(LIMITS.bundledRecordBytes));
const wide = encodeRecord(big);

/** What contradicts itself, or is too large. */
const WRONG: Record<string, Partial<Bundle>> = {
  "names a topic twice": { topics: ["t", "t"] },
  "has parts of other topics": { topics: ["t"] },
  "has an order that is too short": { order: Uint8Array.of(0, 1) },
  "has an order of parts that are not there": {
    order: Uint8Array.of(0, 1, 2),
  },
  "has other bytes than its parts": { batch: joined([RECORD, RECORD]) },
  "has a part without records": {
    parts: [11, 0, 1, 3, 3 * SIZE, 12, 0, 1, 0, 0],
    order: new Uint8Array(3),
  },
  "has a record that is too large": {
    parts: [11, 0, 1, 1, large.length, 12, 0, 1, 1, SIZE],
    order: Uint8Array.of(0, 1),
    batch: joined([large, RECORD]),
  },
  "is too large": {
    parts: [11, 0, 1, 1, wide.length, 12, 0, 1, 1, wide.length],
    order: Uint8Array.of(0, 1),
    batch: joined([wide, wide]),
  },
  "has attributes that are too large": {
    attributes: new Map([[3, new Uint8Array(LIMITS.bundleAttributesBytes)]]),
  },
  "has places of records beyond what can be": {
    parts: [11, 0, 1, 70_000, 2 * SIZE, 12, 0, 1, 1, SIZE],
    order: new Uint8Array(70_001).fill(1, 70_000),
  },
  "is of another producer": { producer: IDS[1] },
};

/** Parts that are refused alone. */
const WRONG_PARTS: Record<string, [fields: Partial<Bundle>, code: string]> = {
  "has a topic that is none": [{ topics: ["t +", "u"] }, "topic_invalid"],
  "has a topic of mom's own": [{ topics: ["$t", "u"] }, "topic_invalid"],
  "has another count than its records": [{
    parts: [11, 0, 1, 2, SIZE, 12, 0, 1, 1, SIZE],
    batch: joined([RECORD, RECORD]),
  }, "bad_message"],
  "has a previous that is not before it": [{
    parts: [11, 1, 1, 2, 2 * SIZE, 12, 0, 1, 1, SIZE],
  }, "bad_message"],
};

for (
  const where of ["broker", "daemon", "daemon whose broker is silent"] as const
) {
  const victim = where === "broker" ? "broker" : "daemon";

  const open = async () => {
    const stage = await Stage.open();
    const { daemon, network } = stage;
    await eventually("the link", () => daemon.status().link?.state === "up");
    if (where !== victim) network.pause(BROKER);
    return stage;
  };

  Deno.test(`[P-8.12] ${where}: a BUNDLE that cannot be is refused as a whole and stores nothing`, async () => {
    await using stage = await open();
    const client = await attached(stage, victim);
    for (const [what, fields] of Object.entries(WRONG)) {
      await client.say(bundle(fields));
      const error = await client.next("ERROR");
      assert.deepEqual(
        [error?.code, error?.request],
        ["bad_message", null],
        what,
      );
    }
    assert.equal(client.errors.get("internal"), undefined);
    assert.equal(storedIn(stage), 0);
    // And one that can be is taken.
    await client.say(bundle());
    for (let n = 0; n < 2; n++) assert(await client.next("RECEIPT"));
    assert.equal(storedIn(stage), 3);
    await client.close();
    stage.network.resume(BROKER);
    await stage.check();
  });

  Deno.test(`[P-8.12] ${where}: what is wrong with a part of a BUNDLE is that part's alone`, async () => {
    await using stage = await open();
    const client = await attached(stage, victim);
    let n = 0;
    for (const [what, [fields, code]] of Object.entries(WRONG_PARTS)) {
      const message = bundle(fields);
      // Of u each is another one.
      const parts = message.parts.with(6, n).with(7, n + 1);
      await client.say({ ...message, parts });
      const receipt = await client.next("RECEIPT");
      assert.equal(receipt?.request, 12, what);
      assert(await client.isThrough(), what);
      assert.deepEqual(
        [client.lastError!.code, client.lastError!.request],
        [code, 11],
        what,
      );
      n++;
    }
    assert.equal(storedIn(stage), n);
    await client.close();
    stage.network.resume(BROKER);
    await stage.check();
  });

  Deno.test(`[P-3.8] ${where}: a BUNDLE that was not agreed on is unsupported, and it goes on`, async () => {
    await using stage = await open();
    const client = await attached(stage, victim, []);
    await client.say(bundle());
    assert(await client.isThrough());
    assert.equal(client.lastError?.code, "unsupported");
    assert.equal(storedIn(stage), 0);
    await client.close();
    stage.network.resume(BROKER);
    await stage.check();
  });
}

Deno.test("[P-8.12] broker: of a BUNDLE with a part out of sequence nothing is accepted, and it can come again", async () => {
  await using stage = await Stage.open();
  const { broker } = stage;
  const client = await attached(stage, "broker");
  const one = (
    ...parts: [request: number, previous: number, first: number][]
  ): Bundle =>
    bundle({
      topics: ["t", "u", "v"].slice(-parts.length),
      parts: parts.flatMap((each) => [...each, 1, SIZE]),
      order: Uint8Array.from(parts, (_, i) => i),
      batch: joined(parts.map(() => RECORD)),
    });
  await client.say(one([1, 0, 1], [2, 0, 1]));
  for (let n = 0; n < 2; n++) assert(await client.next("RECEIPT"));
  // Before that of t something is missing. That of u follows, that of v is known.
  await client.say(one([3, 5, 6], [4, 1, 2], [5, 0, 1]));
  const answers = new Map<number, unknown>();
  await eventually("three answers", () => {
    for (const each of client.heard.splice(0)) {
      if (each.type === "RECEIPT") answers.set(each.request, "known");
      if (each.type !== "ERROR") continue;
      answers.set(each.request!, [each.code, each.details?.get("last")]);
    }
    return answers.size === 3;
  });
  assert.deepEqual([answers.get(3), answers.get(4), answers.get(5)], [
    ["out_of_sequence", 0],
    ["out_of_sequence", 1],
    "known",
  ]);
  assert.equal(broker.status().totals.published, 2);
  await client.say(one([6, 0, 6], [7, 1, 2], [8, 0, 1]));
  for (let n = 0; n < 3; n++) assert(await client.next("RECEIPT"));
  assert.equal(broker.status().totals.published, 4);
  await client.close();
  await stage.check();
});
