/**
 * The time of one publish after another, first alone, then while another user
 * reads a backlog of another topic, again and again. Reading what is old must not
 * slow down the commits of what is new.
 *
 * @module
 */

import { usageDuring } from "../process_usage.ts";
import type { Outcome } from "../row.ts";
import { countFor, idsOf, TOPIC, type Workload } from "../workload.ts";

const BACKLOG_TOPIC = "backlog";
/** Of 1 KiB each, so that all of it is still kept for who comes late. */
const BACKLOG = 50_000;
const BACKLOG_BYTES = 1024;
const WARM_UP_COUNT = 300;

interface Steps {
  count: number;
  p50: number;
  p99: number;
}

/** Microseconds, and the ratio of both. */
export const laggard: Workload = {
  takes: ({ peer }) => peer === "mom",
  isOfEverySize: false,
  async run(run) {
    const { contestant, bytes, seconds } = run;
    await using stage = await contestant.start();
    await using writer = await stage.startApp("writer");
    await using lagging = await stage.startApp("laggard");
    const count = countFor({ ...run, seconds: 5 }, BACKLOG);
    const fill = { do: "flood", topic: BACKLOG_TOPIC, bytes: BACKLOG_BYTES };
    await lagging.call({ ...fill, do: "flood", count });
    const step = { do: "step", topic: TOPIC, bytes, seconds } as const;
    await writer.call({ ...step, count: WARM_UP_COUNT });

    const ids = idsOf(stage, writer, lagging);
    const measure = () => usageDuring(ids, () => writer.call<Steps>(step));
    const alone = await measure();
    await lagging.call({ do: "lag", topic: BACKLOG_TOPIC, count });
    const beside = await measure();
    const read = await lagging.call<number>({
      do: "end-lag",
      topic: BACKLOG_TOPIC,
      count,
    });

    const outcome = (name: string, told: typeof alone): Outcome[] =>
      (["p50", "p99"] as const).map((share) => ({
        variant: `${name}, ${share}`,
        value: told.result[share],
        unit: "us",
        messages: told.result.count,
        lost: 0,
        reordered: 0,
        usage: told.usage,
      }));
    return [
      ...outcome("publish alone", alone),
      ...outcome("publish beside a laggard", beside),
      {
        variant: "p99 beside to alone",
        value: beside.result.p99 / alone.result.p99,
        unit: "times",
        messages: read,
        lost: 0,
        reordered: 0,
        failure: read === 0 ? "the laggard read nothing" : undefined,
      },
    ];
  },
};
