/**
 * One publisher, many in flight, until the last acknowledgement; one subscriber
 * who is away, and who afterwards gets all of it.
 *
 * @module
 */

import type { AwaitTold, FloodTold } from "../app/protocol.ts";
import { usageDuring } from "../process_usage.ts";
import {
  idsOf,
  lossOf,
  reserve,
  TOPIC,
  warmUpSeconds,
  type Workload,
} from "../workload.ts";

/** Messages a second, acknowledged. */
export const publish: Workload = {
  takes: () => true,
  async run({ contestant, bytes, seconds }) {
    await using stage = await contestant.start();
    if (contestant.isDurable) await reserve(stage, TOPIC);
    await using writer = await stage.startApp("writer");
    const flood = { do: "flood", topic: TOPIC, bytes } as const;
    const warm = await writer.call<FloodTold>({
      ...flood,
      seconds: warmUpSeconds(seconds),
    });
    const { usage, result } = await usageDuring(
      idsOf(stage, writer),
      () => writer.call<FloodTold>({ ...flood, seconds }),
    );
    const { count, startMs, endMs } = result;
    const outcome = {
      variant: "",
      value: count * 1_000 / (endMs - startMs),
      unit: "messages/s",
      messages: count,
      usage,
    };
    if (!contestant.isDurable) return [{ ...outcome, lost: 0, reordered: 0 }];
    await writer.close();
    await using reader = await stage.startApp("reader");
    await reader.call({ do: "take", topic: TOPIC, readers: 1 });
    const expected = warm.count + count;
    const { received, reordered } = await reader.call<AwaitTold>({
      do: "await",
      count: expected,
    });
    return [{ ...outcome, ...lossOf(expected, received), reordered }];
  },
};
