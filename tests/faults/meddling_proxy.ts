/**
 * A proxy that passes a conversation on, but once does to a delivery what no
 * system may do. It proves that fault runs notice.
 *
 * @module
 */

import { decodeFrameFields } from "../../protocol/cbor.ts";
import { splitOffset } from "../../protocol/batch.ts";
import type { ByteListener, ByteStream } from "../../protocol/byte_stream.ts";
import { encodeFrame, FrameReader } from "../../protocol/frames.ts";
import { frameBytesMax, LIMITS } from "../../protocol/limits.ts";
import {
  type Deliver,
  type Message,
  parseMessage,
} from "../../protocol/messages.ts";
import { dial, listen } from "../../transport/dial.ts";

/** What it can do to a delivery. */
export const MEDDLINGS = ["forget", "double", "swap"] as const;

/** One of them. */
export type Meddling = (typeof MEDDLINGS)[number];

/** Deliveries that pass before it meddles. */
const SPARED = 5;

/** A listener in front of a broker. */
export class MeddlingProxy implements AsyncDisposable {
  /** How often it meddled: 0 or 1. */
  meddled = 0;
  readonly #listener: ByteListener;
  readonly #meddling: Meddling;
  readonly #streams = new Set<ByteStream>();
  readonly #tasks: Promise<void>[] = [];
  #target = "";
  #spared = 0;

  /** Listens at once; connections are made once `target` is told. */
  constructor(meddling: Meddling) {
    this.#meddling = meddling;
    this.#listener = listen("127.0.0.1:0");
    this.#tasks.push(this.#acceptAll());
  }

  /** Tells where to pass everything on to; gives the address in front of it. */
  standBefore(target: string): string {
    this.#target = target;
    return this.#listener.address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const stream of this.#streams) stream.close();
    await Promise.all(this.#tasks);
  }

  async #acceptAll(): Promise<void> {
    while (true) {
      const client = await this.#listener.accept();
      if (client === null) return;
      this.#tasks.push(this.#serve(client));
    }
  }

  async #serve(client: ByteStream): Promise<void> {
    this.#streams.add(client);
    try {
      const server = await dial(this.#target);
      this.#streams.add(server);
      await Promise.all([
        pump(client, server, (chunk) => [chunk]),
        pump(server, client, this.#meddler()),
      ]);
    } catch {
      // The broker is away, or a side has gone: the other learns it.
    } finally {
      client.close();
      this.#streams.delete(client);
    }
  }

  /** What makes of each chunk from the broker what the daemon gets. */
  #meddler(): (chunk: Uint8Array) => Uint8Array[] {
    const frames = new FrameReader(frameBytesMax(LIMITS.messageBytes));
    return (chunk) => {
      const out: Uint8Array[] = [];
      frames.push(chunk.slice());
      for (let one = frames.next(); one !== null; one = frames.next()) {
        const message = parseMessage(decodeFrameFields(one));
        const passed = this.#meddle(message);
        if (passed !== null) out.push(encodeFrame(passed));
      }
      return out;
    };
  }

  #meddle(message: Message): Message | null {
    if (this.meddled > 0 || message.type !== "DELIVER") return message;
    if (this.#meddling !== "forget" && message.count < 2) return message;
    if (this.#spared++ < SPARED) return message;
    this.meddled++;
    return this.#meddling === "forget" ? null : damage(message, this.#meddling);
  }
}

/** The first two records changed: the first twice, or the second before the first. */
function damage(message: Deliver, meddling: Meddling): Deliver {
  const { batch } = message;
  const [one, two] = [splitOffset(batch, 1), splitOffset(batch, 2)];
  const first = batch.subarray(0, one);
  const second = batch.subarray(one, two);
  const head = meddling === "swap" ? [second, first] : [first, first];
  return { ...message, batch: join([...head, batch.subarray(two)]) };
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

async function pump(
  from: ByteStream,
  to: ByteStream,
  change: (chunk: Uint8Array) => Uint8Array[],
): Promise<void> {
  try {
    for (let chunk = await from.read(); chunk !== null;) {
      for (const part of change(chunk)) await to.write(part);
      chunk = await from.read();
    }
  } finally {
    to.close();
  }
}
