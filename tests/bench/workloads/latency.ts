/**
 * From publish to receive in one process, over two connections: `closed`, the next
 * when the last was received and acknowledged; `open`, 2,000 a second on a fixed
 * schedule, timed from when each was due.
 *
 * @module
 */

import type { LatencyTold } from "../app/protocol.ts";
import { type Usage, usageDuring } from "../process_usage.ts";
import type { Outcome } from "../row.ts";
import { idsOf, TOPIC, type Workload } from "../workload.ts";

const CLOSED_COUNT = 5_000;
const WARM_UP_COUNT = 500;
const OPEN_PER_SECOND = 2_000;
/** The loop ends early where a message takes long. */
const CLOSED_SECONDS_EACH = 4;

/** Microseconds: p50, p99, p99.9 of both. */
export const latency: Workload = {
  takes: () => true,
  async run({ contestant, bytes, seconds }) {
    await using stage = await contestant.start();
    await using app = await stage.startApp("app");
    const common = {
      topic: TOPIC,
      bytes,
      secondsMax: seconds * CLOSED_SECONDS_EACH,
    };
    await app.call({ do: "closed", ...common, count: WARM_UP_COUNT });
    const outcomes: Outcome[] = [];
    const counts = [
      ["closed", CLOSED_COUNT],
      ["open", Math.ceil(OPEN_PER_SECOND * seconds)],
    ] as const;
    for (const [loop, count] of counts) {
      const { usage, result } = await usageDuring(
        idsOf(stage, app),
        () => app.call<LatencyTold>({ do: loop, ...common, count }),
      );
      outcomes.push(...outcomesOf(loop, result, usage));
    }
    return outcomes;
  },
};

function outcomesOf(loop: string, told: LatencyTold, usage: Usage): Outcome[] {
  const { count, lost, reordered } = told;
  const percentiles = [
    ["p50", told.p50],
    ["p99", told.p99],
    ["p99.9", told.p999],
  ] as const;
  return percentiles.map(([name, value]) => ({
    variant: `${loop} ${name}`,
    value,
    unit: "us",
    messages: count,
    lost,
    reordered,
    usage,
  }));
}
