/**
 * One side of deliver_bench.ts, as a process of its own: `write` publishes for a
 * time with a fixed number in flight, `read` receives until all have come.
 *
 * @module
 */

import { Mom } from "../../mod.ts";
import { LineQueue } from "../process/line_queue.ts";

/** What an app of the bench is told, as its argument. */
export interface DeliverSettings {
  role: "write" | "read";
  daemon: string;
  topic: string;
  /** Bytes of a value as encoded. */
  valueBytes: number;
  /** Publishes that wait for their receipt. */
  inFlight: number;
  /** For how long to begin new publishes. */
  durationMs: number;
}

/** What it tells: the writer at its end, the reader when all have come. */
export interface DeliverTold {
  count: number;
  /** Milliseconds since 1970, with fractions: first publish or last receive. */
  atMs: number;
}

function say(told: DeliverTold | "ready"): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(told)}\n`));
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

async function write(mom: Mom, settings: DeliverSettings): Promise<void> {
  // A text of 24 to 255 bytes has a head of two.
  const value = "x".repeat(settings.valueBytes - 2);
  const { topic, inFlight } = settings;
  const atMs = nowMs();
  const endMs = performance.now() + settings.durationMs;
  let count = 0;
  let waiting = 0;
  let failure: unknown = null;
  let wake = (): void => {};
  const onDone = () => {
    waiting--;
    wake();
  };
  const onFailed = (error: unknown) => {
    failure ??= error;
    onDone();
  };
  while (performance.now() < endMs && failure === null) {
    while (waiting < inFlight) {
      count++;
      waiting++;
      mom.publish(topic, value, { level: "broker" }).then(onDone, onFailed);
    }
    await new Promise<void>((resolve) => wake = resolve);
  }
  while (waiting > 0) await new Promise<void>((resolve) => wake = resolve);
  if (failure !== null) throw failure;
  say({ count, atMs });
}

async function read(
  mom: Mom,
  settings: DeliverSettings,
  lines: LineQueue,
): Promise<void> {
  await mom.subscribe(settings.topic);
  say("ready");
  let expected = Infinity;
  let count = 0;
  let atMs = 0;
  void lines.next().then((line) => expected = Number(line));
  while (count < expected) {
    const messages = await mom.receiveMany({ max: 1_000, timeoutMs: 500 });
    if (messages.length === 0) continue;
    count += messages.length;
    atMs = nowMs();
  }
  say({ count, atMs });
}

async function run(settings: DeliverSettings): Promise<void> {
  const { daemon, role } = settings;
  const lines = new LineQueue();
  void lines.fill(Deno.stdin.readable);
  await using mom = await Mom.connect({ daemon, name: role });
  if (role === "read") return await read(mom, settings, lines);
  say("ready");
  await lines.next();
  await write(mom, settings);
}

if (import.meta.main) {
  await run(JSON.parse(Deno.args[0]));
  Deno.exit(0);
}
