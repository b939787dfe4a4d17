/**
 * What one connection can have a broker or an app keep is bounded (PROTOCOL 11).
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Mom } from "../../daemon/client.ts";
import { formatAddress } from "../../protocol/address.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { encodeRecord } from "../../protocol/record.ts";
import { dial } from "../../transport/dial.ts";
import { idOf } from "../broker/_records.ts";
import { type Wire, World } from "../broker/_world.ts";
import { eventually } from "../helpers/eventually.ts";
import { keptBytes } from "../helpers/kept_bytes.ts";
import { joinBytes } from "./codec_target.ts";
import { RawClient } from "./raw_client.ts";

function codeOf(wire: Wire): string | undefined {
  return wire.all("ERROR").at(-1)?.code;
}

function attach(wire: Wire, name = "ana"): void {
  wire.send({
    type: "ATTACH",
    request: 1,
    ref: 1,
    name,
    named: true,
    incarnation: idOf(1),
    create: true,
    handle: idOf(2),
    credit: 0,
    known: [],
  });
}

function subscribe(wire: Wire, filter: string, request = 2): void {
  wire.send({
    type: "SUBSCRIBE",
    request,
    ref: 1,
    filter,
    from: "earliest",
    fromValue: 0,
    manual: false,
    echo: true,
  });
}

Deno.test("[P-11.2] a user's subscriptions are bounded, those that ended with something pending too", async () => {
  await using world = await World.open();
  const wire = world.connect();
  attach(wire);
  wire.send({
    type: "PUBLISH",
    request: 3,
    topic: "t",
    producer: idOf(2),
    previous: 0,
    firstSequence: 1,
    count: 1,
    attributes: null,
    batch: encodeRecord(1),
    wanted: undefined,
  });
  // Each claims the message anew, and keeps its claim when it ends.
  for (let n = 0; n < LIMITS.subscriptionsPerUser; n++) {
    subscribe(wire, n % 2 === 0 ? "#" : `f/${n}`);
    if (n % 2 === 0) {
      wire.send({ type: "UNSUBSCRIBE", request: 4, ref: 1, filter: "#" });
    }
  }
  await world.settle();
  assert.equal(codeOf(wire), undefined);
  subscribe(wire, "one/more");
  await world.settle();
  assert.equal(codeOf(wire), "storage_full");
});

Deno.test("[P-11.3] INTRODUCE stores nothing, and is bounded", async () => {
  await using world = await World.open();
  const wire = world.connectDaemon("north");
  await world.settle();
  const { position } = world.store;
  for (let n = 0; n < LIMITS.producersPerLink; n++) {
    wire.send({ type: "INTRODUCE", producer: idOf(n), user: "ana" });
  }
  assert.equal(codeOf(wire), undefined);
  wire.send({ type: "INTRODUCE", producer: idOf(2 ** 31), user: "ana" });
  assert.equal(codeOf(wire), "storage_full");
  wire.send({ type: "INTRODUCE", producer: idOf(1), user: "a b" });
  assert.equal(codeOf(wire), "name_invalid");
  await world.settle();
  assert.equal(world.store.position, position);
});

Deno.test("[P-8.7] a machine tells nothing of another's producers", async () => {
  await using world = await World.open();
  const [north, south] = ["north", "south"].map((machine) =>
    world.connectDaemon(machine)
  );
  north.send({ type: "INTRODUCE", producer: idOf(1), user: "ana" });
  south.send({ type: "INTRODUCE", producer: idOf(1), user: "eve" });
  assert.equal(codeOf(south), "bad_message");
  south.send({ type: "ENDED", request: 1, producer: idOf(1) });
  assert.equal(south.all("ERROR").length, 2);
  assert.equal(codeOf(north), undefined);
});

/** A broker, and a stranger with a user. */
async function attached(broker: Broker, name: string): Promise<RawClient> {
  const client = new RawClient(await dial(formatAddress(broker.address)));
  await client.greet(broker.token);
  await client.attach(name, idOf(name.charCodeAt(0)));
  return client;
}

async function publish(
  client: RawClient,
  producer: Uint8Array,
  firstSequence: number,
  batch: Uint8Array,
  count: number,
): Promise<void> {
  await client.say({
    type: "PUBLISH",
    request: firstSequence,
    topic: "t",
    producer,
    previous: firstSequence - 1,
    firstSequence,
    count,
    attributes: null,
    batch,
    wanted: undefined,
  });
  assert.notEqual(await client.next("RECEIPT"), null);
}

Deno.test("[P-1.3] who grants 2^53 and does not read is sent no more than it may leave unread, and all of it later", async () => {
  await using broker = await Broker.start({ data: ":memory:", port: 0 });
  const glutton = await attached(broker, "glutton");
  await glutton.say({
    type: "SUBSCRIBE",
    request: 2,
    ref: 1,
    filter: "t",
    from: "now",
    fromValue: 0,
    manual: false,
    echo: false,
  });
  await glutton.next("OK");
  glutton.stopReading();
  const writer = await attached(broker, "writer");
  const bytes = 1024 * 1024;
  const record = encodeRecord(new Uint8Array(bytes));
  const producer = idOf("w".charCodeAt(0));
  const before = keptBytes();
  const count = 96;
  for (let n = 1; n <= count; n++) {
    await publish(writer, producer, n, record, 1);
  }
  // The bound, in buffers that grew by doubling, and what the sockets hold.
  const unread = keptBytes() - before;
  assert(unread < 48 * bytes, `${unread} bytes of ${count * bytes}`);
  let got = 0;
  glutton.readOn();
  while (got < count) got += (await glutton.next("DELIVER"))!.count;
  await Promise.all([glutton.close(), writer.close()]);
});

Deno.test("[P-8.1] records that are no CBOR become dead letters of their reader, and the rest flows on", async () => {
  await using broker = await Broker.start({ data: ":memory:", port: 0 });
  await using reader = await Mom.connect({
    broker: broker.address,
    token: broker.token,
    name: "reader",
  });
  await reader.subscribe("t");
  const writer = await attached(broker, "writer");
  const batch = joinBytes([
    encodeRecord("first"),
    Uint8Array.of(0x43, 0xff, 0xff, 0xff),
    Uint8Array.of(0x40),
    Uint8Array.of(0x42, 0x82, 0xf6),
    encodeRecord("last"),
  ]);
  await publish(writer, idOf("w".charCodeAt(0)), 1, batch, 5);
  for (const value of ["first", "last"]) {
    const message = await reader.receive({ timeoutMs: 10_000 });
    assert.equal(message?.value, value);
  }
  await eventually("three dead letters", () => {
    const [row] = broker.status().subscriptions;
    return row.deadLettered === 3 && row.delivered === 2 && row.pending === 0;
  });
  const reasons = broker.status().deadLetters?.map(({ reason }) => reason);
  assert(reasons!.every((reason) => reason === "undecodable"));
  await writer.close();
});
