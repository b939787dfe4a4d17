/**
 * Memory that servers hold while nothing happens: after their start, with a
 * thousand connections, and after `deliver`.
 *
 * @module
 */

import type { Contestant, Stage } from "../contestant.ts";
import { residentMiB } from "../process_usage.ts";
import type { Outcome } from "../row.ts";
import { pass, TOPIC, type Workload } from "../workload.ts";

const CONNECTIONS = 1_000;

/** MiB, resident. */
export const idle: Workload = {
  takes: () => true,
  isOfEverySize: false,
  async run({ contestant, bytes, seconds }) {
    const outcomes = await aloneAndCrowded(contestant);
    await using stage = await contestant.start();
    await using reader = await stage.startApp("reader");
    await using writer = await stage.startApp("writer");
    await reader.call({ do: "take", topic: TOPIC, readers: 1 });
    const { flood, told } = await pass(stage, writer, reader, {
      do: "flood",
      topic: TOPIC,
      bytes,
      seconds,
    });
    const lost = flood.count - told.received;
    const after = residents(stage, "after deliver");
    return [...outcomes, ...after.map((each) => ({ ...each, lost }))];
  },
};

async function aloneAndCrowded(contestant: Contestant): Promise<Outcome[]> {
  await using stage = await contestant.start();
  const alone = residents(stage, "alone");
  await using crowd = await stage.startApp("crowd");
  await crowd.call({ do: "crowd", handles: CONNECTIONS, filters: 0 });
  return [...alone, ...residents(stage, `${CONNECTIONS} connections`)];
}

function residents(stage: Stage, when: string): Outcome[] {
  return Object.entries(stage.servers).map(([name, id]) => ({
    variant: `${name} ${when}`,
    value: residentMiB(id),
    unit: "MiB",
    messages: 0,
    lost: 0,
    reordered: 0,
  }));
}
