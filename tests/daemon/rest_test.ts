/** What waits while the broker has no room keeps its order. */

import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { contentStart } from "../../protocol/batch.ts";
import { decodeRecord } from "../../protocol/record.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { ScriptedApp, ScriptedBroker, startDaemon } from "./wire_parts.ts";

function textOf(batch: Uint8Array): unknown {
  return decodeRecord(batch.subarray(contentStart(batch, 0))).value;
}

/** A daemon between a broker and apps that are played by hand. */
async function openAll(...names: string[]) {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network);
  const apps: ScriptedApp[] = [];
  for (const name of names) {
    const app = new ScriptedApp(name);
    await app.connect(network, formatAddress(daemon.address), daemon.token);
    await app.attach(0);
    apps.push(app);
  }
  return {
    broker,
    apps,
    [Symbol.asyncDispose]: async () => {
      for (const app of apps) await app.close();
      await daemon.stop();
      await broker.stop();
    },
  };
}

/** Publishes a text to each topic in turn. */
function publishAll(app: ScriptedApp, topics: readonly string[]): string[] {
  const sequences = new Map<string, number>();
  return topics.map((topic, index) => {
    const sequence = (sequences.get(topic) ?? 0) + 1;
    sequences.set(topic, sequence);
    app.publish(topic, sequence, `${topic}${index}`);
    return `${topic}${index}`;
  });
}

function refuse({ peer }: ScriptedBroker, request: number): void {
  peer!.send({
    type: "ERROR",
    request,
    code: "storage_full",
    message: "full",
    details: null,
  });
}

/** Reads publishes at the broker and gives each its receipt. */
async function takeAll(
  { tape, peer }: ScriptedBroker,
  count: number,
): Promise<unknown[]> {
  const texts: unknown[] = [];
  while (texts.length < count) {
    const { batch, request } = await tape.next("PUBLISH");
    texts.push(textOf(batch));
    peer!.send({ type: "RECEIPT", request, level: 1, offset: null });
  }
  return texts;
}

Deno.test("[P-8.9] Daemon keeps a producer's order over its topics when the broker has no room for a while", async () => {
  await using all = await openAll("ana");
  const { broker, apps: [app] } = all;
  const texts = publishAll(app, ["a", "b", "a", "c", "b", "a"]);
  const requests: number[] = [];
  for (const _ of texts) {
    requests.push((await broker.tape.next("PUBLISH")).request);
  }
  // The link is silent: it goes to the disk, too.
  for (const _ of texts) await app.tape.next("RECEIPT");
  for (const request of requests) refuse(broker, request);
  assert.deepEqual(await takeAll(broker, 6), texts);
});

Deno.test("[P-8.9] Daemon keeps a producer's order over its topics while it rests for another", async () => {
  await using all = await openAll("ana", "ben");
  const { broker, apps: [app, other] } = all;
  other.publish("z", 1, "z");
  const { request } = await broker.tape.next("PUBLISH");
  await other.tape.next("RECEIPT");
  refuse(broker, request);
  assert.equal(await broker.peer!.ping(1_000), true);
  const texts = publishAll(app, ["a", "b", "a", "c", "b", "a"]);
  const taken = await takeAll(broker, 7);
  assert.deepEqual(taken.filter((text) => text !== "z"), texts);
});
