/**
 * Publishes while the broker is down are acknowledged by the daemon's disk; then
 * the broker comes back and the subscriber gets all of them.
 *
 * @module
 */

import { nowMs } from "../app/moment.ts";
import type { AwaitTold, FloodTold } from "../app/protocol.ts";
import { MomStage } from "../mom_stage.ts";
import { usageDuring } from "../process_usage.ts";
import type { Outcome } from "../row.ts";
import {
  countFor,
  idsOf,
  lossOf,
  TOPIC,
  warmUpSeconds,
  type Workload,
} from "../workload.ts";

const MESSAGES = 200_000;

/** Messages a second: published without a broker, then drained. */
export const away: Workload = {
  takes: ({ peer, road }) => peer === "mom" && road === "daemons",
  async run(run) {
    const { bytes, seconds, contestant } = run;
    await using stage = await contestant.start({ isBrokerLevel: false });
    if (!(stage instanceof MomStage)) {
      throw new TypeError("Not a stage of ours");
    }
    await using reader = await stage.startApp("reader");
    await using writer = await stage.startApp("writer");
    await reader.call({ do: "take", topic: TOPIC, readers: 1 });
    const flood = { do: "flood", topic: TOPIC, bytes } as const;
    const warm = await writer.call<FloodTold>({
      ...flood,
      seconds: warmUpSeconds(seconds),
    });
    await reader.call<AwaitTold>({ do: "await", count: warm.count });

    await stage.cluster.broker.stop();
    const { broker: _, ...daemons } = idsOf(stage, writer);
    const count = countFor(run, MESSAGES);
    const published = await usageDuring(
      daemons,
      () => writer.call<FloodTold>({ ...flood, count }),
    );

    // From when the broker listens: how fast its program starts is not meant.
    const { pid } = await stage.cluster.broker.start();
    const startMs = nowMs();
    const drained = await usageDuring(
      { ...idsOf(stage, writer, reader), broker: pid },
      () => reader.call<AwaitTold>({ do: "await", count: warm.count + count }),
    );
    const { startMs: fromMs, endMs } = published.result;
    const { received, reordered, atMs } = drained.result;
    const outcome = { unit: "messages/s", messages: count, reordered };
    const loss = lossOf(warm.count + count, received);
    const outcomes: Outcome[] = [{
      ...outcome,
      ...loss,
      variant: "published",
      value: count * 1_000 / (endMs - fromMs),
      usage: published.usage,
    }, {
      ...outcome,
      ...loss,
      variant: "drained",
      value: (received - warm.count) * 1_000 / (atMs - startMs),
      usage: drained.usage,
    }];
    return outcomes;
  },
};
