/**
 * A million messages wait (in five seconds' measure) for a subscriber that then
 * comes as a new process: from its connecting to its last message.
 *
 * @module
 */

import { nowMs } from "../app/moment.ts";
import type { AwaitTold, FloodTold } from "../app/protocol.ts";
import { usageDuring } from "../process_usage.ts";
import {
  countFor,
  idsOf,
  lossOf,
  reserve,
  TOPIC,
  type Workload,
} from "../workload.ts";

const MESSAGES = 1_000_000;

/** Messages a second, drained. */
export const backlog: Workload = {
  takes: ({ isDurable }) => isDurable,
  async run(run) {
    const { contestant, bytes } = run;
    await using stage = await contestant.start();
    await reserve(stage, TOPIC);
    await using writer = await stage.startApp("writer");
    const count = countFor(run, MESSAGES);
    await writer.call<FloodTold>({ do: "flood", topic: TOPIC, bytes, count });
    await writer.close();
    await using reader = await stage.startApp("reader");
    const startMs = nowMs();
    const { usage, result } = await usageDuring(
      idsOf(stage, reader),
      async () => {
        await reader.call({ do: "take", topic: TOPIC, readers: 1 });
        return await reader.call<AwaitTold>({ do: "await", count });
      },
    );
    const { received, reordered, atMs } = result;
    return [{
      variant: "",
      value: received * 1_000 / (atMs - startMs),
      unit: "messages/s",
      messages: received,
      ...lossOf(count, received),
      reordered,
      usage,
    }];
  },
};
