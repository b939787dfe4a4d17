/**
 * A bad line: a proxy that delays, drips, cuts and falls silent. What it holds is
 * bounded; bytes that it passes on come in order and unchanged.
 *
 * @module
 */

import type { ByteListener, ByteStream } from "../../protocol/byte_stream.ts";
import { dial, listen } from "../../transport/dial.ts";
import { pause } from "./eventually.ts";
import type { Random } from "./random.ts";

/** What happens to everything that passes, both ways. */
export interface Weather {
  /** Each chunk is late by something between these, in order. */
  delayMs?: readonly [min: number, max: number];
  /** No more than so many bytes at a time, and so long until the next. */
  drip?: { bytes: number; everyMs: number };
}

/** How a connection ends. */
export type Cut = "fin" | "rst" | "frame";

/** Bytes held in one direction before it reads no more. */
const HELD_BYTES_MAX = 256 * 1024;
/** How long unread bytes gather, so that closing resets the connection. */
const GATHER_MS = 20;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly dueMs: number;
}

/** One connection through the proxy. */
class Passage {
  isSilent = false;
  isDeaf = false;
  breaksAtNext = false;
  isClosed = false;
  /** Told of the end. */
  readonly wakes = new Set<() => void>();
  readonly ends: ByteStream[];

  constructor(client: ByteStream) {
    this.ends = [client];
  }

  close(): void {
    this.isClosed = true;
    for (const end of this.ends) end.close();
    for (const wake of this.wakes) wake();
  }
}

/** A listener in front of something. */
export class RoughProxy implements AsyncDisposable {
  /** Holds for all connections from now on. */
  weather: Weather = {};
  /** How many connections were made through it. */
  accepted = 0;
  readonly #random: Random;
  readonly #listener: ByteListener;
  readonly #passages = new Set<Passage>();
  readonly #tasks = new Set<Promise<void>>();
  #target = "";
  #isClosed = false;

  /** Listens at once; connections are made once `standBefore` tells the target. */
  constructor(random: Random) {
    this.#random = random;
    this.#listener = listen("127.0.0.1:0");
    this.#own(this.#acceptAll());
  }

  /** Where it listens. */
  get address(): string {
    return this.#listener.address;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#passages.size;
  }

  /** Tells where to pass everything on to; gives the address in front of it. */
  standBefore(target: string): string {
    this.#target = target;
    return this.address;
  }

  /** Ends the connections there are. */
  cut(how: Cut): void {
    for (const passage of this.#passages) this.#cut(passage, how);
  }

  /** The connections there are pass nothing on any more, and stay. New ones are fine. */
  fallSilent(): void {
    for (const passage of this.#passages) passage.isSilent = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    for (const passage of this.#passages) passage.close();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  #cut(passage: Passage, how: Cut): void {
    if (how === "fin") return passage.close();
    if (how === "frame") passage.breaksAtNext = true;
    else passage.isDeaf = true;
    // What was not read by then makes the end a reset.
    this.#own(pause(GATHER_MS).then(() => passage.close()));
  }

  #own(task: Promise<void>): void {
    const owned = task.finally(() => this.#tasks.delete(owned));
    this.#tasks.add(owned);
  }

  async #acceptAll(): Promise<void> {
    while (true) {
      const client = await this.#listener.accept();
      if (client === null) return;
      this.accepted++;
      this.#own(this.#serve(client));
    }
  }

  async #serve(client: ByteStream): Promise<void> {
    const passage = new Passage(client);
    this.#passages.add(passage);
    try {
      const server = await dial(this.#target);
      passage.ends.push(server);
      if (this.#isClosed || passage.isClosed) passage.close();
      await Promise.all([
        this.#pump(passage, client, server),
        this.#pump(passage, server, client),
      ]);
    } catch {
      // Nobody there, or one side has gone: the other learns it.
    } finally {
      passage.close();
      this.#passages.delete(passage);
    }
  }

  async #pump(
    passage: Passage,
    from: ByteStream,
    to: ByteStream,
  ): Promise<void> {
    const held: Chunk[] = [];
    let heldBytes = 0;
    let wake = () => {};
    let isOver = false;
    const changed = () => new Promise<void>((resolve) => wake = resolve);
    passage.wakes.add(() => wake());
    const reading = (async () => {
      let lastMs = 0;
      while (true) {
        while (heldBytes > HELD_BYTES_MAX && !isOver && !passage.isClosed) {
          await changed();
        }
        const bytes = passage.isDeaf ? null : await from.read();
        if (bytes === null || isOver) break;
        lastMs = Math.max(lastMs, performance.now() + this.#delay());
        held.push({ bytes: bytes.slice(), dueMs: lastMs });
        heldBytes += bytes.length;
        wake();
      }
      // Who is silent keeps the end to itself, who is deaf closes later.
      if (!passage.isSilent && !passage.isDeaf) isOver = true;
      wake();
    })();
    try {
      while (true) {
        const chunk = held.shift();
        if (chunk === undefined) {
          if (isOver || passage.isClosed) return;
          await changed();
          continue;
        }
        if (chunk.dueMs > performance.now()) {
          await pause(chunk.dueMs - performance.now());
        }
        await this.#pass(passage, chunk.bytes, to);
        heldBytes -= chunk.bytes.length;
        wake();
      }
    } finally {
      isOver = true;
      wake();
      passage.close();
      await reading;
    }
  }

  async #pass(
    passage: Passage,
    bytes: Uint8Array,
    to: ByteStream,
  ): Promise<void> {
    if (passage.isSilent) return;
    if (passage.breaksAtNext) {
      await to.write(bytes.subarray(0, bytes.length >> 1));
      throw new Error("broken within a frame");
    }
    for (let at = 0; at < bytes.length;) {
      const { drip } = this.weather;
      const end = at + (drip?.bytes ?? bytes.length);
      await to.write(bytes.subarray(at, end));
      at = end;
      if (drip !== undefined) await pause(drip.everyMs);
      if (passage.isSilent) return;
    }
  }

  #delay(): number {
    const { delayMs } = this.weather;
    return delayMs === undefined ? 0 : this.#random.integer(...delayMs);
  }
}
