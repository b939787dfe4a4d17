/**
 * SUBSCRIBE and UNSUBSCRIBE (PROTOCOL 5.10, 5.11).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { MessageNamed } from "../../protocol/messages.ts";
import { checkFilter, isExactFilter, matches } from "../../protocol/topics.ts";
import { flowOf } from "./attaching.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";
import type { Topic } from "./topics.ts";
import type { User } from "./users.ts";

type Subscribe = MessageNamed<"SUBSCRIBE">;

/** Logs asked for a time at once. */
const TIME_READS_MAX = 64;

/** Begins and ends subscriptions. */
export class Subscribing {
  readonly #state: State;
  readonly #deliveries: Deliveries;

  constructor(state: State, deliveries: Deliveries) {
    this.#state = state;
    this.#deliveries = deliveries;
  }

  /**
   * Begins a subscription.
   *
   * @returns A promise when the beginning has to be read first.
   * @throws {MomError} `filter_invalid`, `already_subscribed`, `bad_message`.
   */
  subscribe(session: Session, message: Subscribe): void | Promise<void> {
    const { user } = flowOf(session, message.ref);
    checkFilter(message.filter);
    checkNew(this.#state, user, message.filter);
    if (message.from === "time") return this.#fromTime(session, message, user);
    this.#begin(session, message, user, (topic) => this.#start(topic, message));
  }

  /**
   * Ends a subscription here.
   *
   * @throws {MomError} `not_subscribed`, `bad_message`.
   */
  unsubscribe(
    session: Session,
    request: number,
    ref: number,
    filter: string,
  ): void {
    const { user } = flowOf(session, ref);
    const subscription = user.subscriptions.get(filter);
    if (subscription === undefined) {
      throw new MomError(
        "not_subscribed",
        `Cannot unsubscribe "${user.id}": no subscription to "${filter}"`,
      );
    }
    this.#state.endSubscription(subscription);
    this.#answer(session, request);
  }

  async #fromTime(
    session: Session,
    message: Subscribe,
    user: User,
  ): Promise<void> {
    const starts = new Map<Topic, number>();
    const topics = [...this.#matching(message.filter)];
    for (let at = 0; at < topics.length; at += TIME_READS_MAX) {
      await Promise.all(
        topics.slice(at, at + TIME_READS_MAX).map(async (topic) => {
          const { store } = this.#state;
          if (topic.isGone || !store.hasLog(topic.log)) return;
          const offset = await store.offsetAtTime(topic.log, message.fromValue);
          starts.set(topic, offset);
        }),
      );
    }
    // The user may have left, ended, or asked for the same meanwhile.
    if (flowOf(session, message.ref).user !== user) return;
    checkNew(this.#state, user, message.filter);
    // A topic that came meanwhile began after any time that is not in the future.
    this.#begin(session, message, user, (topic) => starts.get(topic) ?? 0);
  }

  #begin(
    session: Session,
    message: Subscribe,
    user: User,
    startOf: (topic: Topic) => number,
  ): void {
    // A filter with wildcards gets its rows with the messages: they may be many.
    const isEager = message.from !== "now" || isExactFilter(message.filter);
    const topics = isEager ? [...this.#matching(message.filter)] : [];
    checkReaders(this.#state, user, topics);
    const subscription = this.#state.createSubscription(user, message);
    for (const topic of topics) {
      const reader = this.#state.addRow(subscription, topic, startOf(topic));
      this.#deliveries.reachBack(reader);
    }
    this.#answer(session, message.request);
  }

  #start(topic: Topic, message: Subscribe): number {
    switch (message.from) {
      case "earliest":
        return 0;
      case "last":
        return this.#state.topics.end(topic) - 1;
      case "offset":
        return message.fromValue;
      case "epoch":
        return topic.inheritedEnd;
      default:
        return Infinity;
    }
  }

  #matching(filter: string): Iterable<Topic> {
    const { topics } = this.#state;
    if (!isExactFilter(filter)) {
      return [...topics.all()].filter((topic) => matches(filter, topic.name));
    }
    const topic = topics.get(filter);
    return topic === undefined ? [] : [topic];
  }

  #answer(session: Session, request: number): void {
    this.#state.commits.whenDone(() => session.send({ type: "OK", request }));
    this.#state.commits.finish();
  }
}

function checkNew(state: State, user: User, filter: string): void {
  if (!user.subscriptions.has(filter)) return checkRoom(state, user);
  throw new MomError(
    "already_subscribed",
    `Cannot subscribe "${user.id}": already subscribed to "${filter}"`,
  );
}

/** Each topic that is reached back to has a set of offsets for each user. */
function checkReaders(
  state: State,
  user: User,
  topics: readonly Topic[],
): void {
  const count = state.readerCount + topics.length;
  if (count <= LIMITS.readers) return;
  throw new MomError(
    "storage_full",
    `Cannot subscribe "${user.id}": this broker would keep ${count} pairs of user and topic, at most ${LIMITS.readers}`,
  );
}

/** What ended counts while something of it is pending: it is kept as long. */
function checkRoom(state: State, user: User): void {
  const count = user.subscriptions.size + user.ended.size;
  const { subscriptionCount, readerCount } = state;
  const isRoom = count < LIMITS.subscriptionsPerUser &&
    subscriptionCount < LIMITS.subscriptions && readerCount < LIMITS.readers;
  if (isRoom) return;
  throw new MomError(
    "storage_full",
    `Cannot subscribe "${user.id}": it has ${count} of ${LIMITS.subscriptionsPerUser} subscriptions, all users ${subscriptionCount} of ${LIMITS.subscriptions}, in ${readerCount} of ${LIMITS.readers} topics`,
  );
}
