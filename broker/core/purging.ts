/**
 * Purging: stored messages are removed because somebody says so. Offsets go on
 * where they were, and no log's number comes again: nothing that comes later
 * can be taken for what was there. So the epoch stays.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { RESULTS } from "./counts.ts";
import { dropBelow } from "./dropping.ts";
import type { State } from "./state.ts";
import type { Topic } from "./topics.ts";

/** What to purge: a topic, what waits for a user, or everything. */
export interface PurgeWish {
  /** The messages of this topic. */
  readonly topic?: string;
  /** What waits at the broker for this user, `name@machine`. */
  readonly user?: string;
  /** The messages of all topics. */
  readonly all?: boolean;
}

/** What was purged. */
export interface PurgeReport {
  /** How many messages were removed from their topics. */
  readonly removed: number;
  /** How many times one of them was still waiting for a subscription. */
  readonly dropped: number;
}

/**
 * Removes messages that are on disk. What lies at daemons is theirs and stays.
 *
 * @throws {MomError} `option_invalid` when the wish names not exactly one thing,
 *   or one that is not there.
 */
export function purge(state: State, wish: PurgeWish): PurgeReport {
  checkWish(wish);
  const report = wish.user === undefined
    ? purgeTopics(state, topicsOf(state, wish))
    : purgeUser(state, wish.user);
  state.logger.warn("purged", { ...wish, ...report });
  state.commits.finish();
  return report;
}

function checkWish({ topic, user, all }: PurgeWish): void {
  const named = [topic !== undefined, user !== undefined, all === true];
  if (named.filter((each) => each).length === 1) return;
  throw new MomError(
    "option_invalid",
    "Cannot purge: name exactly one of topic, user and all",
  );
}

function topicsOf(state: State, { topic }: PurgeWish): Topic[] {
  if (topic === undefined) return [...state.topics.all()];
  const found = state.topics.get(topic);
  if (found !== undefined) return [found];
  throw new MomError(
    "option_invalid",
    `Cannot purge topic "${topic}": there is no such topic`,
  );
}

function purgeTopics(state: State, topics: readonly Topic[]): PurgeReport {
  let removed = 0;
  let dropped = 0;
  for (const topic of topics) {
    // What is not yet on disk has not been answered: it comes after the purge.
    const end = state.store.committedEnd(topic.log);
    for (const reader of [...topic.readers]) {
      dropped += dropBelow(state, reader, end, RESULTS.purged);
    }
    removed += Math.max(0, end - state.store.begin(topic.log));
    state.commits.trim(topic.log, end);
  }
  return { removed, dropped };
}

function purgeUser(state: State, id: string): PurgeReport {
  const user = state.users.get(id);
  if (user === undefined) {
    throw new MomError(
      "option_invalid",
      `Cannot purge user "${id}": there is no such user`,
    );
  }
  let dropped = 0;
  for (const reader of [...user.readers.values()]) {
    const end = state.store.committedEnd(reader.topic.log);
    dropped += dropBelow(state, reader, end, RESULTS.purged);
  }
  return { removed: 0, dropped };
}
