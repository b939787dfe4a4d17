/**
 * From app to app, until the last is received: `deliver` to one subscriber,
 * `fanout` to eight with a connection each in one process.
 *
 * @module
 */

import type { Outcome } from "../row.ts";
import {
  type Case,
  deliveryOutcome,
  pass,
  TOPIC,
  warmUpSeconds,
  type Workload,
} from "../workload.ts";

const FAN_OUT = 8;

/** Messages a second, received by the one subscriber. */
export const deliver: Workload = {
  takes: () => true,
  run: (run) => deliverTo(1, "messages/s", run),
};

/** Deliveries a second, of all subscribers together. */
export const fanout: Workload = {
  takes: () => true,
  run: (run) => deliverTo(FAN_OUT, "deliveries/s", run),
};

async function deliverTo(
  readers: number,
  unit: string,
  { contestant, bytes, seconds }: Case,
): Promise<Outcome[]> {
  await using stage = await contestant.start();
  await using reader = await stage.startApp("reader");
  await using writer = await stage.startApp("writer");
  await reader.call({ do: "take", topic: TOPIC, readers });
  const flood = { do: "flood", topic: TOPIC, bytes } as const;
  const go = (seconds: number) =>
    pass(stage, writer, reader, { ...flood, seconds }, readers);
  await go(warmUpSeconds(seconds));
  const passed = await go(seconds);
  return [deliveryOutcome("", unit, passed, readers)];
}
