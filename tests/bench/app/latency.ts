/**
 * From publish to receive within one process, over two connections.
 *
 * @module
 */

import { percentileOf } from "../statistics.ts";
import { turn } from "./moment.ts";
import type { LatencyCommand, LatencyTold } from "./protocol.ts";
import type { Reader } from "./reader.ts";
import type { Writer } from "./writer.ts";

/** Whoever is not back after this counts as lost. */
const LOST_AFTER_MS = 10_000;

/** One in flight: the next goes when the last was received and acknowledged. */
export async function closedLoop(
  writer: Writer,
  reader: Reader,
  command: LatencyCommand,
): Promise<LatencyTold> {
  const { topic, bytes, count, secondsMax } = command;
  const times: number[] = [];
  const endMs = performance.now() + secondsMax * 1_000;
  const before = { ...reader.tally };
  let sent = 0;
  while (sent < count && performance.now() < endMs) {
    const startMs = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    reader.onTime = () => {
      times.push((performance.now() - startMs) * 1_000);
      resolve();
    };
    writer.send(topic, bytes);
    sent++;
    await orLost(promise);
    await writer.settled();
  }
  return summary(times, sent, reader, before);
}

/**
 * A message at each of equal steps, however long the earlier ones take; timed
 * from when it was due, so that a stall counts for all that it delays.
 */
export async function openLoop(
  writer: Writer,
  reader: Reader,
  command: LatencyCommand,
): Promise<LatencyTold> {
  const { topic, bytes, count, perSecond = 2_000 } = command;
  const times: number[] = [];
  const before = { ...reader.tally };
  const { promise, resolve } = Promise.withResolvers<void>();
  reader.onTime = (dueMs) => {
    times.push((performance.now() - dueMs) * 1_000);
    if (times.length === count) resolve();
  };
  const startMs = performance.now();
  for (let sent = 0; sent < count;) {
    const dueMs = startMs + sent * 1_000 / perSecond;
    if (performance.now() < dueMs) {
      // Timers have whole milliseconds; a turn of the event loop is finer.
      await turn();
      continue;
    }
    writer.send(topic, bytes, dueMs);
    sent++;
  }
  await orLost(promise);
  await writer.settled();
  return summary(times, count, reader, before);
}

async function orLost(promise: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) =>
    timer = setTimeout(resolve, LOST_AFTER_MS)
  );
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

function summary(
  times: readonly number[],
  sent: number,
  { tally }: Reader,
  before: { received: number; reordered: number },
): LatencyTold {
  return {
    count: times.length,
    p50: percentileOf(times, 0.5),
    p99: percentileOf(times, 0.99),
    p999: percentileOf(times, 0.999),
    lost: sent - (tally.received - before.received),
    reordered: tally.reordered - before.reordered,
  };
}

/** The time of each publish to its acknowledgement, one after another. */
export async function steps(
  writer: Writer,
  command: { topic: string; bytes: number; seconds: number; count?: number },
): Promise<{ count: number; p50: number; p99: number }> {
  const { topic, bytes, seconds, count = Infinity } = command;
  const times: number[] = [];
  const endMs = performance.now() + seconds * 1_000;
  while (times.length < count && performance.now() < endMs) {
    const startMs = performance.now();
    writer.send(topic, bytes);
    await writer.settled();
    times.push((performance.now() - startMs) * 1_000);
  }
  return {
    count: times.length,
    p50: percentileOf(times, 0.5),
    p99: percentileOf(times, 0.99),
  };
}
