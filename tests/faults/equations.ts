/**
 * Whether a broker's sums come out, and agree with what the apps counted.
 *
 * @module
 */

import type {
  DeliveryCounts,
  PublishCounts,
  StatusReport,
} from "../../program/status.ts";
import { filterTakes } from "./filter_match.ts";
import type { History, Verdict } from "./judge.ts";

/** The part of a report that is checked. */
export type Sums = Pick<
  StatusReport,
  "totals" | "topics" | "subscriptions"
>;

/** Every row and the totals: what breaks promise 2. Empty when all is well. */
export function checkSums(sums: Sums): string[] {
  const failures: string[] = [];
  for (const row of sums.subscriptions) {
    const name = `${row.user} ${row.filter} ${row.topic}`;
    failures.push(...checkDeliveries(name, row));
  }
  for (const row of sums.topics) {
    failures.push(...checkPublishes(row.topic, row));
  }
  failures.push(...checkDeliveries("totals", sums.totals));
  failures.push(...checkPublishes("totals", sums.totals));
  return failures;
}

/**
 * Whether the counters are those of a history that has come to rest: nothing
 * pending or given up, delivered what the apps took, published what they
 * published.
 */
export function checkCounts(
  sums: Sums,
  history: History,
  verdict: Verdict,
): string[] {
  return [
    ...checkNone(sums),
    ...checkDelivered(sums, history, verdict),
    ...checkPublished(sums, history),
  ];
}

function checkDeliveries(name: string, row: DeliveryCounts): string[] {
  const { delivered, pending, deadLettered, expired, dropped, own } = row;
  const sum = delivered + pending + deadLettered + expired + dropped + own;
  if (row.matched === sum) return [];
  return [
    `${name}: matched ${row.matched} is not delivered ${delivered} + pending ` +
    `${pending} + deadLettered ${deadLettered} + expired ${expired} + dropped ` +
    `${dropped} + own ${own} = ${sum}`,
  ];
}

function checkPublishes(name: string, row: PublishCounts): string[] {
  const { published, stored, trimmed } = row;
  if (published === stored + trimmed) return [];
  return [
    `${name}: published ${published} is not stored ${stored} + trimmed ${trimmed}`,
  ];
}

/** What a history at rest has none of; nothing in it expires or is trimmed. */
const NONE = ["pending", "deadLettered", "expired", "dropped"] as const;

function checkNone(sums: Sums): string[] {
  return sums.subscriptions.flatMap((row) =>
    NONE.filter((name) => row[name] > 0).map((name) => {
      const reasons = name === "dropped"
        ? JSON.stringify(row.droppedReasons)
        : "";
      return `${row.user} ${row.filter} ${row.topic}: ${
        row[name]
      } ${name} ${reasons}`.trimEnd();
    })
  );
}

function checkDelivered(
  sums: Sums,
  history: History,
  verdict: Verdict,
): string[] {
  const failures: string[] = [];
  for (const { user, topics } of verdict.tallies) {
    const filters = history.readers.find((reader) => reader.user === user)
      ?.filters ?? [];
    for (const [topic, taken] of topics) {
      for (const filter of filters.filter((one) => filterTakes(one, topic))) {
        const row = sums.subscriptions.find((one) =>
          one.user === user && one.filter === filter && one.topic === topic
        );
        if (row?.delivered === taken) continue;
        failures.push(
          `${user} ${filter} ${topic}: delivered ${row?.delivered}, ` +
            `but its app took ${taken}`,
        );
      }
    }
  }
  return failures;
}

function checkPublished(sums: Sums, history: History): string[] {
  const failures: string[] = [];
  for (const [topic, { least, most }] of publishedBounds(history)) {
    const row = sums.topics.find((one) => one.topic === topic);
    const published = row?.published ?? 0;
    if (least <= published && published <= most) continue;
    failures.push(
      `${topic}: published ${published}, but its writers count from ` +
        `${least} acknowledged to ${most} possible`,
    );
  }
  return failures;
}

function publishedBounds(
  history: History,
): Map<string, { least: number; most: number }> {
  const bounds = new Map<string, { least: number; most: number }>();
  for (const { topic, outcome } of history.attempts) {
    const bound = bounds.get(topic) ?? { least: 0, most: 0 };
    if (outcome === "acknowledged") bound.least++;
    if (outcome !== "refused") bound.most++;
    bounds.set(topic, bound);
  }
  return bounds;
}
