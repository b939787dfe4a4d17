/**
 * One attack on a listening broker or daemon, from a process of its own: what it
 * costs is not on the account of who measures.
 *
 * `besieger.ts ATTACK ADDRESS TOKEN`: prints `ready` once it is under way, and goes on
 * until it is killed.
 *
 * @module
 */

import { CborWriter } from "../../protocol/cbor.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import type { Message } from "../../protocol/messages.ts";
import { dial } from "../../transport/dial.ts";
import { pause } from "../helpers/eventually.ts";
import { joinBytes } from "./codec_target.ts";
import { contentOf, frameOf, nested } from "./mutations.ts";
import { proofOf, RawClient } from "./raw_client.ts";

const [attack, address, token] = Deno.args;

type Attack = () => Promise<void>;

/** Every attack goes on for ever, at a pace that one connection can well keep. */
export const ATTACKS: Record<string, Attack> = {
  /** Thousands of connections that say nothing. */
  silence: () => crowd(5_000, () => Promise.resolve()),
  /** Connections that send a byte now and then. */
  dripping: () =>
    crowd(200, async (client) => {
      for (let n = 0; !client.isEnded; n++) {
        await client.send(Uint8Array.of(n === 0 ? 0x5a : 0));
        await pause(100);
      }
    }),
  /** Bytes that make no sense, again and again. */
  garbage: async () => {
    await forever(async () => {
      const client = await open();
      await client.send(crypto.getRandomValues(new Uint8Array(5_000)));
      await client.ended;
    });
  },
  /** A frame of many bytes that come one by one. */
  bytewise: async () => {
    const client = await welcomed();
    await client.send(Uint8Array.of(0x5a, 0, 0x80, 0, 0));
    await forever(async () => {
      for (let n = 0; n < 20; n++) await client.send(Uint8Array.of(0));
    });
  },
  /** Requests whose answers nobody reads. */
  deaf: async () => {
    const client = await attached();
    client.stopReading();
    const pings = repeat({ type: "PING", token: 1 }, 500);
    await forever(() => client.send(pings));
  },
  /** Everything there is, to somebody who does not read. */
  glutton: async () => {
    const client = await attached();
    await subscribe(client, "#");
    client.stopReading();
    const other = await attached();
    let sequence = 1;
    await forever(async () => {
      await publish(other, "feast", sequence++, new Uint8Array(60_000));
    });
  },
  /** A list of a million ranges. */
  ranges: async () => {
    const client = await attached();
    const outcomes: number[] = [];
    for (let n = 0; n < 1_000_000; n++) {
      outcomes.push(2, n % 9, 2 * n, 2 * n + 1);
    }
    const frame = frameOf(contentOf([21, 1, 1, outcomes]));
    await forever(() => client.send(frame));
  },
  /** Frames in which arrays lie in arrays, or announce more than there is. */
  nesting: async () => {
    await forever(async () => {
      const client = await welcomed();
      await client.send(joinBytes([
        frameOf(nested(8)),
        frameOf(nested(10_000)),
        frameOf(Uint8Array.of(0x82, 0x11, 0x9a, 0x01, 0xc9, 0xc3, 0x80)),
      ]));
      await client.ended;
    });
  },
  /** Maps and arrays as large as a frame allows. */
  bulky: async () => {
    const writer = new CborWriter();
    writer.array(2);
    writer.uint(17);
    writer.array(1_000_000);
    for (let n = 0; n < 1_000_000; n++) writer.uint(0);
    const frame = frameOf(writer.take());
    await forever(async () => {
      const client = await welcomed();
      await client.send(frame);
      await client.ended;
    });
  },
  /** Producers without end. */
  introductions: async () => {
    const client = await welcomed({
      role: "daemon",
      machine: "strangers",
      machineKey: new Uint8Array(16),
    });
    await forever(async () => {
      const frames = Array.from(
        { length: 200 },
        () =>
          encodeFrame({ type: "INTRODUCE", producer: freshId(), user: "x" }),
      );
      await client.send(joinBytes(frames));
    });
  },
  /** Subscriptions without end. */
  subscriptions: async () => {
    const client = await attached();
    let n = 0;
    await forever(() => subscribe(client, `s/${n++}/#`));
  },
};

function freshId(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(16));
}

async function open(): Promise<RawClient> {
  return new RawClient(await dial(address));
}

async function welcomed(
  hello: Parameters<RawClient["greet"]>[1] = {},
): Promise<RawClient> {
  const client = await open();
  if (await client.greet(token, hello) === null) {
    throw new Error("Was not let in");
  }
  return client;
}

async function attached(): Promise<RawClient> {
  const client = await welcomed();
  await client.attach(`x${freshId().toHex().slice(0, 8)}`, handle(client));
  return client;
}

const handles = new WeakMap<RawClient, Uint8Array>();

function handle(client: RawClient): Uint8Array {
  const known = handles.get(client) ?? freshId();
  handles.set(client, known);
  return known;
}

async function subscribe(client: RawClient, filter: string): Promise<void> {
  await client.say({
    type: "SUBSCRIBE",
    request: 2,
    ref: 1,
    filter,
    from: "now",
    fromValue: 0,
    manual: false,
    echo: false,
  });
}

async function publish(
  client: RawClient,
  topic: string,
  firstSequence: number,
  content: Uint8Array,
): Promise<void> {
  const batch = frameOf(content);
  await client.say({
    type: "PUBLISH",
    request: firstSequence,
    topic,
    producer: handle(client),
    previous: firstSequence - 1,
    firstSequence,
    count: 1,
    attributes: null,
    batch,
    wanted: undefined,
  });
}

function repeat(message: Message, count: number): Uint8Array {
  return joinBytes(Array.from({ length: count }, () => encodeFrame(message)));
}

/** Again and again, with a rest: it is to be hard for its kind, not for its speed. */
async function forever(act: () => Promise<void>): Promise<void> {
  say("ready");
  while (true) {
    await act();
    await pause(4);
  }
}

/** Keeps so many connections, opened again when they are closed. */
async function crowd(
  size: number,
  act: (client: RawClient) => Promise<void>,
): Promise<void> {
  const one = async () => {
    while (true) {
      try {
        const client = await open();
        await act(client);
        await client.ended;
      } catch {
        // Refused: that is what is to happen.
        await pause(200);
      }
      await pause(6_000);
    }
  };
  const all: Promise<void>[] = [];
  for (let n = 0; n < size; n++) {
    all.push(one());
    if (n % 50 === 0) await pause(2);
    if (n === Math.floor(size / 2)) say("ready");
  }
  await Promise.all(all);
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  // Proofs and other work of the first time are not part of an attack.
  await proofOf(token, freshId(), freshId());
  await ATTACKS[attack]();
}
