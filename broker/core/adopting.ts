/**
 * A new epoch: a restore or a copy has made the store another one than clients
 * know. What it holds is older than what they saw, and what they say of
 * offsets behind its end is about messages that it never had.
 *
 * @module
 */

import type { Reader } from "./readers.ts";
import type { State } from "./state.ts";

/** Takes note of the store's epoch; if it is new, of what is from before it. */
export function adoptEpoch(state: State): void {
  const { store, totals, commits, logger } = state;
  const before = totals.epoch;
  if (before === store.epoch) return;
  totals.epoch = store.epoch;
  // A new store is noted with whatever it begins with.
  if (before === 0) return;
  totals.epochBefore = before;
  commits.changed(totals);
  let messages = 0;
  totals.mayComeTwice = 0;
  for (const topic of state.topics.all()) {
    topic.inheritedEnd = state.topics.end(topic);
    messages += topic.inheritedEnd - store.begin(topic.log);
    for (const reader of topic.readers) {
      totals.mayComeTwice += pendingOf(reader, topic.inheritedEnd);
    }
    commits.changed(topic);
  }
  for (const user of state.users.values()) {
    // Whatever is here may have been handed over before it was lost again.
    user.suspect = user.sentPosition = store.position;
    // The handle of those days may be gone; the present one must get in.
    user.handle = null;
    user.isUnlisted = true;
    commits.changed(user);
  }
  logger.warn("epoch_changed", {
    from: before,
    to: store.epoch,
    position: store.position,
    messages,
    mayComeTwice: totals.mayComeTwice,
  });
}

/** How many messages wait for a user, whatever the number of its subscriptions. */
function pendingOf(reader: Reader, logEnd: number): number {
  const end = Math.min(reader.claimEnd, logEnd);
  const { floor } = reader.settled;
  return Math.max(0, end - floor - reader.settled.countIn(floor, end));
}
