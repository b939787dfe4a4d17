/**
 * What a stranger on the wire is answered, over real sockets: ERROR and the end where
 * bytes make no sense, ERROR and on where a request is wrong (PROTOCOL 2 and 3).
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Daemon } from "../../daemon/daemon.ts";
import { formatAddress } from "../../protocol/address.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { messageKinds, type MessageNamed } from "../../protocol/messages.ts";
import { encodeRecord } from "../../protocol/record.ts";
import { dial } from "../../transport/dial.ts";
import { within } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { drawMessages, IDS } from "./arbitraries.ts";
import { joinBytes } from "./codec_target.ts";
import { contentOf, frameOf, nested } from "./mutations.ts";
import { helloOf, RawClient } from "./raw_client.ts";
import type { Victim } from "./stage.ts";

/** A broker on TCP and a daemon on a unix socket, both without a token. */
class Pair implements AsyncDisposable {
  readonly #folder: TempFolder;
  readonly broker: Broker;
  readonly daemon: Daemon;

  private constructor(folder: TempFolder, broker: Broker, daemon: Daemon) {
    this.#folder = folder;
    this.broker = broker;
    this.daemon = daemon;
  }

  static async start(): Promise<Pair> {
    const folder = await TempFolder.make();
    const common = { data: ":memory:", insecureNoToken: true };
    const broker = await Broker.start({ ...common, port: 0 });
    const daemon = await Daemon.start({
      ...common,
      broker: broker.address,
      listen: { path: `${folder.path}/mom.sock` },
      machine: "north",
    });
    return new Pair(folder, broker, daemon);
  }

  async dial(victim: Victim): Promise<RawClient> {
    return new RawClient(await dial(formatAddress(this[victim].address)));
  }

  async welcomed(victim: Victim): Promise<RawClient> {
    const client = await this.dial(victim);
    await client.say(helloOf());
    assert.notEqual(await client.next("WELCOME"), null);
    return client;
  }

  async attached(victim: Victim, name = "ana"): Promise<RawClient> {
    const client = await this.welcomed(victim);
    assert.notEqual(await client.attach(name, IDS[0]), null);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon.stop();
    await this.broker.stop();
    await this.#folder[Symbol.asyncDispose]();
  }
}

const VICTIMS = ["broker", "daemon"] as const;
const HELLO = encodeFrame(helloOf());

/** What comes before WELCOME, and the code that it ends with. */
const BEFORE_WELCOME: readonly (readonly [string, Uint8Array, string])[] = [
  ["random bytes", Uint8Array.of(0x47, 0x45, 0x54, 0x20, 0x2f), "bad_frame"],
  ["a length of 4 GiB", Uint8Array.of(0x5a, 255, 255, 255, 255), "bad_frame"],
  ["a frame above 4 KiB", frameOf(new Uint8Array(4_097)), "bad_frame"],
  ["no CBOR", frameOf(Uint8Array.of(0xff)), "bad_frame"],
  ["CBOR that is no array", frameOf(Uint8Array.of(0x01)), "bad_frame"],
  ["an array without an op", frameOf(Uint8Array.of(0x81, 0xf6)), "bad_frame"],
  ["an empty array", frameOf(Uint8Array.of(0x80)), "bad_frame"],
  ["nesting 4,000 deep", frameOf(nested(4_000)), "bad_frame"],
  [
    "an array that announces 30 million elements",
    frameOf(Uint8Array.of(0x82, 0x01, 0x9a, 0x01, 0xc9, 0xc3, 0x80)),
    "bad_frame",
  ],
  ["an unknown op", frameOf(contentOf([99])), "unsupported"],
  ["a PING", encodeFrame({ type: "PING", token: 1 }), "bad_message"],
  [
    "a wrong HELLO",
    frameOf(contentOf([1, 1, 1, "x", "queen"])),
    "bad_message",
  ],
  [
    "a newer version",
    encodeFrame(helloOf({ versionMin: 2, versionMax: 9 })),
    "protocol_version",
  ],
  [
    "an older version",
    encodeFrame(helloOf({ versionMin: 0, versionMax: 0 })),
    "protocol_version",
  ],
  [
    "an app that names a machine",
    encodeFrame(helloOf({ machine: "north", machineKey: IDS[0] })),
    "bad_message",
  ],
];

for (const victim of VICTIMS) {
  Deno.test(`[P-3.1] ${victim}: what is no opening gets its ERROR and the end`, async () => {
    await using pair = await Pair.start();
    for (const [what, bytes, code] of BEFORE_WELCOME) {
      if (victim === "daemon" && what.includes("names a machine")) continue;
      const client = await pair.dial(victim);
      await client.send(bytes);
      await within(`the end after ${what}`, 4_000, client.ended);
      assert.deepEqual([...client.errors], [[code, 1]], what);
    }
  });

  Deno.test(`[P-3.1] ${victim}: no op but HELLO opens a conversation`, async () => {
    await using pair = await Pair.start();
    const first = new Map(
      drawMessages(400, 1, 1).map((fields) => [fields[0], fields]),
    );
    for (const { op, name } of messageKinds()) {
      if (name === "HELLO") continue;
      const client = await pair.dial(victim);
      await client.send(frameOf(contentOf(first.get(op)!)));
      await within(`the end after ${name}`, 4_000, client.ended);
      assert.equal(client.errors.size, 1, name);
      assert(!client.errors.has("internal"), name);
    }
  });

  Deno.test(`[P-2.3] ${victim}: wrong types in every field of every op are answered, and it goes on`, async () => {
    await using pair = await Pair.start();
    const client = await pair.welcomed(victim);
    const valid = new Map(
      drawMessages(400, 2, 1).map((fields) => [fields[0], fields]),
    );
    let sent = 0;
    for (const { op, fields } of messageKinds()) {
      for (let at = 1; at <= fields.length; at++) {
        // A date as text in an array in an array fits no field.
        const bent = [...valid.get(op)!];
        if (at >= bent.length) continue;
        bent[at] = [["no"]];
        await client.send(frameOf(contentOf(bent)));
        sent++;
      }
    }
    assert(await client.isThrough(), "the connection goes on");
    assert.deepEqual([...client.errors], [["bad_message", sent]]);
    await client.close();
  });

  Deno.test(`[P-3.9] ${victim}: a second HELLO, AUTH, and what only servers say are refused, and it goes on`, async () => {
    await using pair = await Pair.start();
    const client = await pair.welcomed(victim);
    await client.send(HELLO);
    await client.say({ type: "AUTH", proof: new Uint8Array(32) });
    await client.say({ type: "OK", request: 1 });
    await client.send(frameOf(contentOf([77, 1, 2])));
    await client.send(frameOf(contentOf([7, 1, "more", ["fields"]])));
    assert(await client.isThrough());
    assert.deepEqual(
      Object.fromEntries(client.errors),
      { bad_message: 3, unsupported: 1 },
    );
    await client.close();
  });

  Deno.test(`[P-2.1] ${victim}: an opening that comes byte by byte is one`, async () => {
    await using pair = await Pair.start();
    const client = await pair.dial(victim);
    for (const byte of HELLO) await client.send(Uint8Array.of(byte));
    assert.notEqual(await client.next("WELCOME"), null);
    await client.close();
  });

  Deno.test(`[P-8] ${victim}: a PUBLISH that cannot be is refused and stores nothing`, async () => {
    await using pair = await Pair.start();
    const client = await pair.attached(victim);
    const batch = encodeRecord("x");
    const good: MessageNamed<"PUBLISH"> = {
      type: "PUBLISH",
      request: 1,
      topic: "t",
      producer: IDS[0],
      previous: 0,
      firstSequence: 1,
      count: 1,
      attributes: null,
      batch,
      wanted: undefined,
    };
    const last = Number.MAX_SAFE_INTEGER;
    const bad: Partial<MessageNamed<"PUBLISH">>[] = [
      { count: 2 },
      { batch: joinBytes([batch, batch]) },
      { batch: batch.subarray(0, batch.length - 1) },
      { batch: new Uint8Array(0) },
      { batch: Uint8Array.of(0x83, 1, 2, 3) },
      { producer: IDS[1] },
      { previous: 1 },
      { previous: last, firstSequence: 5 },
      { firstSequence: last, count: 2, batch: joinBytes([batch, batch]) },
      { attributes: new Map([[1, -1]]) },
      { attributes: new Map([[3, new Uint8Array(5_000)]]) },
    ];
    for (const [index, fields] of bad.entries()) {
      await client.say({ ...good, ...fields, request: index });
      assert(await client.isThrough(), `PUBLISH ${index}`);
      assert.equal(client.lastError?.request, index);
      assert.equal(client.lastError?.code, "bad_message", `PUBLISH ${index}`);
    }
    const { broker, daemon } = pair;
    assert.equal(broker.status().totals.published, 0);
    assert.equal(broker.status().topics.length, 0);
    assert.equal(daemon.status().outbox?.messages, 0);
    // The largest numbers that can be are fine, a life of any length as well.
    await client.say({
      ...good,
      previous: 0,
      firstSequence: last,
      attributes: new Map([[1, last]]),
    });
    assert.notEqual(await client.next("RECEIPT"), null);
    await client.close();
  });

  Deno.test(`[P-7.9] ${victim}: ACKs that cannot be are refused, those of what one never had change nothing`, async () => {
    await using pair = await Pair.start();
    const client = await pair.attached(victim);
    const last = Number.MAX_SAFE_INTEGER;
    const bad = [
      [0, 1, 0, 1], // held
      [1, 1, 0, 1], // custody, of an app
      [8, 1, 0, 1], // no outcome
      [2, 1, 5, 4], // ends before it begins
      [2, 1, 0], // no whole range
      Array.from({ length: 4 * (LIMITS.ackRanges + 1) }, () => 2),
    ];
    for (const outcomes of bad) {
      await client.send(frameOf(contentOf([21, 1, 1, outcomes])));
      assert.equal((await client.next("ERROR"))?.code, "bad_message");
    }
    await client.say({
      type: "ACK",
      ref: 1,
      number: 1,
      outcomes: [2, last, 0, last, 2, 7, 0, last],
    });
    await client.say({ type: "CREDIT", ref: 9, total: last });
    await client.say({ type: "CREDIT", ref: null, total: last });
    assert(await client.isThrough());
    assert.equal(pair.daemon.status().inbox?.messages ?? 0, 0);
    await client.close();
  });

  Deno.test(`[P-3.4] ${victim}: many that say nothing do not keep out who means it`, async () => {
    await using pair = await Pair.start();
    const silent = await Promise.all(
      Array.from({ length: 600 }, () => pair.dial(victim)),
    );
    const client = await pair.welcomed(victim);
    assert(await client.isThrough());
    const open = silent.filter((each) => !each.isEnded).length;
    assert(open <= LIMITS.unwelcomedConnections, `${open} are open`);
    await client.close();
    await Promise.all(silent.map((each) => each.close()));
  });
}
