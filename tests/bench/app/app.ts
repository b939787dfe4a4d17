/**
 * An app of the bench: its connections, and what each command does with them.
 *
 * @module
 */

import type { BenchConnection, Driver } from "../connection.ts";
import { Laggard } from "./lag.ts";
import { closedLoop, openLoop, steps } from "./latency.ts";
import { echo, kvBulkRate, kvCommitMicros, roundTripMicros } from "./limits.ts";
import { nowMs } from "./moment.ts";
import type {
  AppCommand,
  AppSettings,
  AwaitCommand,
  AwaitTold,
  CrowdCommand,
  FloodCommand,
  FloodTold,
  LagCommand,
  LatencyCommand,
  LatencyTold,
  LimitCommand,
  ReadCommand,
} from "./protocol.ts";
import { Reader } from "./reader.ts";
import { measureStore } from "./store.ts";
import { Writer } from "./writer.ts";

/** Without a message for so long, nothing more is expected. */
const SILENT_MS = 15_000;
const ASK_AGAIN_MS = 2;
const CONNECTED_AT_ONCE = 16;
/** The clock is asked once in so many messages. */
const CLOCK_EVERY = 64;

/** One app, from its first command to its end. */
export class App {
  readonly #settings: AppSettings;
  readonly #driver: Driver;
  readonly #writers: Writer[] = [];
  readonly #readers: Reader[] = [];
  readonly #others: BenchConnection[] = [];
  #laggard: Laggard | null = null;

  constructor(settings: AppSettings, driver: Driver) {
    this.#settings = settings;
    this.#driver = driver;
  }

  /** Does what it is told; the result is its answer. */
  async obey(command: AppCommand): Promise<unknown> {
    switch (command.do) {
      case "flood":
        return await this.#flood(command);
      case "reserve":
        return await this.#reserve(command);
      case "take":
        return await this.#take(command, true);
      case "await":
        return await this.#await(command);
      case "closed":
      case "open":
        return await this.#latency(command);
      case "step":
        return await steps(await this.#writer(0), command);
      case "lag":
      case "end-lag":
        return await this.#lag(command);
      case "crowd":
        return await this.#crowd(command);
      case "kv-commits":
      case "kv-bulk":
      case "echo":
      case "round-trips":
      case "store":
        return await measureLimit(command);
      case "close":
        return await this.#close();
    }
  }

  async #flood(command: FloodCommand): Promise<FloodTold> {
    const { writers: count = 1, topic, bytes } = command;
    const writers = await this.#firstWriters(count);
    const topics = topicsOf(topic, command.topics ?? 1);
    const startMs = nowMs();
    const counts = await Promise.all(writers.map((writer, index) => {
      const window = command.window ?? writer.connection.window;
      return writer.flood({
        topics,
        bytes,
        window: Math.max(1, Math.floor(window / count)),
        isOver: overAt(command, index, count),
      });
    }));
    const sum = counts.reduce((a, b) => a + b, 0);
    return { count: sum, startMs, endMs: nowMs() };
  }

  async #reserve(command: ReadCommand): Promise<void> {
    for (const reader of await this.#connectReaders(command)) {
      await reader.connection.reserve(command.topic);
    }
  }

  async #take(command: ReadCommand, isBulk: boolean): Promise<void> {
    const readers = await this.#connectReaders(command);
    for (const reader of readers) await reader.take(command.topic, isBulk);
  }

  async #await({ count }: AwaitCommand): Promise<AwaitTold> {
    let last = -1;
    let lastMs = 0;
    while (true) {
      const told = this.#told();
      if (told.received >= count) return told;
      if (told.received > last) lastMs = performance.now();
      else if (performance.now() - lastMs > SILENT_MS) return told;
      last = told.received;
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  #told(): AwaitTold {
    const tallies = this.#readers.map(({ tally }) => tally);
    return {
      received: tallies.reduce((sum, { received }) => sum + received, 0),
      reordered: tallies.reduce((sum, { reordered }) => sum + reordered, 0),
      atMs: Math.max(0, ...this.#readers.map(({ atMs }) => atMs)),
    };
  }

  async #latency(command: LatencyCommand): Promise<LatencyTold> {
    const writer = await this.#writer(0);
    if (this.#readers.length === 0) {
      const { topic } = command;
      await this.#take({ do: "take", topic, readers: 1 }, false);
    }
    const loop = command.do === "closed" ? closedLoop : openLoop;
    return await loop(writer, this.#readers[0]!, command);
  }

  async #lag({ do: what, topic, count }: LagCommand): Promise<number> {
    if (what === "end-lag") return await this.#laggard?.stop() ?? 0;
    this.#laggard = new Laggard(this.#settings.reader, topic, count);
    return 0;
  }

  async #crowd({ handles, filters }: CrowdCommand): Promise<void> {
    for (let first = 0; first < handles; first += CONNECTED_AT_ONCE) {
      const length = Math.min(CONNECTED_AT_ONCE, handles - first);
      await Promise.all(Array.from({ length }, async (_, index) => {
        const name = `other${first + index}`;
        const settings = { ...this.#settings.reader, name };
        const other = await this.#driver(settings);
        this.#others.push(other);
        for (let each = 0; each < filters; each++) {
          await other.reserve(`other/${name}/${each}`);
        }
      }));
    }
  }

  async #connectReaders(command: ReadCommand): Promise<Reader[]> {
    const { readers, prefix = "reader" } = command;
    const connected: Reader[] = [];
    for (let index = 0; index < readers; index++) {
      const name = `${prefix}${index}`;
      const settings = { ...this.#settings.reader, name };
      connected.push(new Reader(await this.#driver(settings)));
    }
    this.#readers.push(...connected);
    return connected;
  }

  async #firstWriters(count: number): Promise<Writer[]> {
    for (let index = 0; index < count; index++) await this.#writer(index);
    return this.#writers.slice(0, count);
  }

  async #writer(index: number): Promise<Writer> {
    const name = `${this.#settings.name}-writer${index}`;
    return this.#writers[index] ??= new Writer(
      await this.#driver({ ...this.#settings.writer, name }),
      index,
    );
  }

  async #close(): Promise<void> {
    const connections = [...this.#writers, ...this.#readers]
      .map(({ connection }) => connection);
    await Promise.all(
      [...connections, ...this.#others].map((each) => each.close()),
    );
  }
}

function topicsOf(topic: string, count: number): string[] {
  if (count === 1) return [topic];
  return Array.from({ length: count }, (_, index) => `${topic}/${index}`);
}

/** Ends after the seconds, or after this writer's part of the number. */
function overAt(
  { seconds, count }: FloodCommand,
  index: number,
  writers: number,
): (sent: number) => boolean {
  if (count !== undefined) {
    const share = Math.floor((count + writers - 1 - index) / writers);
    return (sent) => sent >= share;
  }
  const endMs = performance.now() + seconds! * 1_000;
  let isOver = false;
  return (sent) => {
    if (sent % CLOCK_EVERY === 0) isOver = performance.now() >= endMs;
    return isOver;
  };
}

async function measureLimit(command: LimitCommand): Promise<unknown> {
  const { folder = "", port = 0, seconds } = command;
  switch (command.do) {
    case "kv-commits":
      return await kvCommitMicros(folder, seconds);
    case "kv-bulk":
      return await kvBulkRate(folder, seconds);
    case "echo":
      return echo();
    case "round-trips":
      return await roundTripMicros(port, seconds);
    case "store":
      return await measureStore(folder, seconds);
  }
}
