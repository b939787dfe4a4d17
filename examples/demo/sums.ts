/**
 * The broker's books against the apps' own counts.
 *
 * @module
 */

import type { Reader } from "./reader.ts";
import type { Story } from "./story.ts";

/** What became of a subscription's messages. */
interface Row {
  user: string;
  matched: number;
  delivered: number;
  pending: number;
  deadLettered: number;
  expired: number;
  dropped: number;
  own: number;
}

/**
 * Tells the sums of every reader; `matched` must be the sum of the rest, and
 * `delivered` what the reader counted.
 *
 * @returns What does not agree.
 */
export function compareSums(
  status: unknown,
  readers: readonly Reader[],
  story: Story,
): string[] {
  const { subscriptions } = status as { subscriptions: Row[] };
  const faults: string[] = [];
  for (const { user, count } of readers) {
    const sum = addUp(subscriptions.filter((row) => row.user === user));
    const { matched, delivered, own } = sum;
    const rest = ["pending", "deadLettered", "expired", "dropped"] as const;
    const others = rest.map((name) => `${sum[name]} ${name}`).join(" + ");
    story.tell(
      user,
      `matched ${matched} = ${delivered} delivered + ${own} own + ${others}; ` +
        `counted ${count} itself`,
    );
    const total = rest.reduce((so, name) => so + sum[name], delivered + own);
    if (matched !== total) faults.push(`${user}: the sum is ${total}`);
    if (delivered !== count) faults.push(`${user}: delivered ${delivered}`);
  }
  return faults;
}

function addUp(rows: readonly Row[]): Omit<Row, "user"> {
  const sum = {
    matched: 0,
    delivered: 0,
    pending: 0,
    deadLettered: 0,
    expired: 0,
    dropped: 0,
    own: 0,
  };
  for (const row of rows) {
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) {
      sum[name] += row[name];
    }
  }
  return sum;
}

/** Resolves to the status once nothing is pending, or as it is when time is up. */
export async function settledStatus(
  ask: () => Promise<unknown>,
  timeoutMs: number,
): Promise<unknown> {
  const end = performance.now() + timeoutMs;
  while (true) {
    const status = await ask();
    const { subscriptions } = status as { subscriptions: Row[] };
    const isSettled = subscriptions.every((row) => row.pending === 0);
    if (isSettled || performance.now() > end) return status;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
