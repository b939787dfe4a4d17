/**
 * Giving up what waits for a user at the broker: it is settled with its reason,
 * and a client that is attached hears that it will not come (PROTOCOL 6.5).
 *
 * @module
 */

import { toLogId } from "../../protocol/log_id.ts";
import type { Result } from "./counts.ts";
import { missingInAll, type Reader } from "./readers.ts";
import type { State } from "./state.ts";

/**
 * Drops what a reader waits for below `end`. What its daemon answers for stays.
 *
 * @returns How many messages that were.
 */
export function dropBelow(
  state: State,
  reader: Reader,
  end: number,
  result: Result & { reason: string },
): number {
  const { settled, custody } = reader;
  const to = Math.min(end, reader.claimEnd);
  if (reader.firstOpen(settled.floor) >= to) return 0;
  let dropped = 0;
  for (
    const [from, stop] of missingInAll([settled, custody], settled.floor, to)
  ) {
    dropped += state.settle(reader, from, stop, result);
    tell(state, reader, from, stop, result.reason);
  }
  return dropped;
}

function tell(
  state: State,
  reader: Reader,
  from: number,
  to: number,
  reason: string,
): void {
  const { flow } = reader.user;
  if (flow === null || !flow.isOpen || to <= reader.next) return;
  const message = {
    type: "GAP" as const,
    targets: [flow.ref, 0],
    logId: toLogId(state.store.epoch, reader.topic.log),
    from: Math.max(from, reader.next),
    to,
    reason,
  };
  state.commits.whenDone(() => {
    if (flow.isCurrent) flow.session.send(message);
  });
}
