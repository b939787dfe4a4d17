/**
 * All that the broker knows, and the changes that keep it in itself consistent:
 * users, their subscriptions, their readers, and the sums of what has ended.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { DIRECT_MACHINE } from "../../protocol/names.ts";
import type { Logger } from "../../program/log.ts";
import type { BrokerStore } from "./broker_store.ts";
import { adoptEpoch } from "./adopting.ts";
import { Commits } from "./commits.ts";
import { type Result, RESULTS } from "./counts.ts";
import { DeadLetterList } from "./dead_letters.ts";
import { EntryReader, TABLES } from "./entries.ts";
import { FilterIndex } from "./filter_index.ts";
import { Machines } from "./machines.ts";
import { Producers } from "./producers.ts";
import { Reader, readReader, type Row } from "./readers.ts";
import { Subscription } from "./subscriptions.ts";
import { type Topic, Topics } from "./topics.ts";
import { Totals } from "./totals.ts";
import { User } from "./users.ts";

/** What the state stands on. */
export interface StateOptions {
  readonly store: BrokerStore;
  readonly logger: Logger;
  /** The core met a defect that it cannot go on from. */
  onDefect(error: unknown): void;
}

/** Everything the broker knows. */
export class State {
  readonly store: BrokerStore;
  readonly commits: Commits;
  readonly totals: Totals;
  /** Bytes that were published since the start. */
  appendedBytes = 0;
  readonly topics: Topics;
  readonly producers: Producers;
  readonly machines: Machines;
  readonly deadLetters: DeadLetterList;
  /** Users by `name@machine`. */
  readonly users = new Map<string, User>();
  /** The subscriptions that go on. */
  readonly filters = new FilterIndex<Subscription>();
  readonly logger: Logger;
  /** Takes a defect that the core cannot go on from. */
  readonly onDefect: (error: unknown) => void;
  /** Subscriptions, those that ended and have something pending too. */
  subscriptionCount = 0;
  /** Pairs of user and topic. */
  readerCount = 0;
  readonly #userCounts = new Map<string, number>();
  #refusedBytes = 0;
  #nextSubscriptionKey = 1;
  #nextReaderKey = 1;

  /**
   * Loads what the store has.
   *
   * @throws {MomError} `data_damaged` when its entries make no sense.
   */
  constructor(options: StateOptions) {
    const { store } = options;
    this.store = store;
    this.logger = options.logger;
    this.onDefect = options.onDefect;
    this.commits = new Commits(store, options.onDefect);
    this.totals = new Totals(store.takeEntries(TABLES.totals).get(0));
    this.topics = new Topics(store, this.commits);
    this.producers = new Producers(store, this.commits);
    this.machines = new Machines(store, this.commits);
    this.deadLetters = new DeadLetterList(store, this.commits);
    this.#load();
    adoptEpoch(this);
  }

  /** Steady time in ms, for durations; never falls (`storage/timeline.ts`). */
  nowMs(): number {
    return this.store.timeline.nowMs();
  }

  /** Wall time in ms, for what is stored and shown. */
  stampMs(): number {
    return this.store.timeline.stampMs();
  }

  /** How many users a machine has. */
  userCountOf(machine: string): number {
    return this.#userCounts.get(machine) ?? 0;
  }

  /** Tells the log of messages that somebody waited for and that will not come. */
  tellDropped(reader: Reader, from: number, to: number, reason: string): void {
    const { user, topic } = reader;
    const fields = { reason, topic: topic.name, from, to, user: user.id };
    this.logger.warn("dropped", fields);
  }

  /** A publish of so many bytes had no room on the disk. */
  noteRefused(bytes: number): void {
    this.#refusedBytes = Math.max(this.#refusedBytes, bytes);
  }

  /** The largest publish that had no room since the last call. */
  takeRefused(): number {
    const bytes = this.#refusedBytes;
    this.#refusedBytes = 0;
    return bytes;
  }

  /** A new user. */
  createUser(
    name: string,
    machine: string,
    incarnation: Uint8Array,
    named: boolean,
  ): User {
    const key = this.totals.nextUserKey++;
    this.commits.changed(this.totals);
    const copy = incarnation.slice();
    const user = new User(key, name, machine, copy, named, this.stampMs());
    user.awaySinceMs = this.nowMs();
    this.users.set(user.id, user);
    this.#count(machine, 1);
    this.commits.changed(user);
    return user;
  }

  /** Ends a user with all it has; what waits for it is dropped. */
  endUser(user: User): void {
    for (const reader of [...user.readers.values()]) {
      const end = Math.min(reader.claimEnd, this.topics.end(reader.topic));
      reader.settle(reader.settled.floor, end, RESULTS.destroyed);
      for (const row of [...reader.rows]) this.#endRow(reader, row);
      this.#removeReader(reader);
    }
    for (const each of [...user.subscriptions.values(), ...user.ended]) {
      this.#removeSubscription(each);
    }
    this.users.delete(user.id);
    this.#count(user.machine, -1);
    this.commits.removed(user);
  }

  #count(machine: string, more: number): void {
    const count = this.userCountOf(machine) + more;
    if (count > 0) this.#userCounts.set(machine, count);
    else this.#userCounts.delete(machine);
  }

  /** A new subscription; its rows come with the messages it matches. */
  createSubscription(
    user: User,
    wish: { filter: string; manual: boolean; echo: boolean },
  ): Subscription {
    const position = this.store.position;
    const key = this.#nextSubscriptionKey++;
    const subscription = new Subscription(key, user, wish, position);
    user.subscriptions.set(subscription.filter, subscription);
    this.filters.add(subscription);
    this.subscriptionCount++;
    this.commits.changed(subscription);
    return subscription;
  }

  /** Ends a subscription here: what it has matched is still delivered. */
  endSubscription(subscription: Subscription): void {
    const { user } = subscription;
    user.subscriptions.delete(subscription.filter);
    this.filters.delete(subscription);
    subscription.endPosition = this.store.openPosition;
    user.ended.add(subscription);
    this.commits.changed(subscription);
    for (const reader of [...user.readers.values()]) {
      for (const row of reader.rows) {
        if (row.subscription !== subscription) continue;
        row.end = Math.max(row.begin, this.topics.end(reader.topic));
        this.commits.changed(reader);
      }
      this.#tidy(reader);
    }
    if (subscription.rowCount === 0) this.#removeSubscription(subscription);
  }

  /** Makes sure that every subscription that matches the topic has its row in it. */
  matchTopic(topic: Topic): void {
    if (topic.matchedVersion === this.filters.version) return;
    for (const subscription of this.filters.match(topic.name)) {
      const reader = subscription.user.readers.get(topic.log);
      const has = reader?.rows.some((row) => row.subscription === subscription);
      if (has !== true) this.addRow(subscription, topic, Infinity);
    }
    topic.matchedVersion = this.filters.version;
  }

  /**
   * Makes sure that there is room for the readers that a topic would get.
   *
   * @param more How many come before them.
   * @throws {MomError} `storage_full`.
   */
  checkReaders(name: string, more = 0): void {
    const count = this.readerCount + more;
    if (count < LIMITS.readers || this.newReaders(name) === 0) return;
    throw new MomError(
      "storage_full",
      `Cannot publish to "${name}": this broker keeps ${count} pairs of user and topic, which is the most`,
    );
  }

  /** How many pairs a publish to a topic adds at most: a user counts with each filter. */
  newReaders(name: string): number {
    const topic = this.topics.get(name);
    if (topic?.matchedVersion === this.filters.version) return 0;
    const isNew = ({ readers }: User) =>
      topic === undefined || !readers.has(topic.log);
    return this.filters.match(name).filter(({ user }) => isNew(user)).length;
  }

  /** Lets a subscription claim a topic from `begin` on (within what is there). */
  addRow(subscription: Subscription, topic: Topic, begin: number): Reader {
    const { user } = subscription;
    const end = this.topics.end(topic);
    begin = Math.max(this.store.begin(topic.log), Math.min(begin, end));
    let reader = user.readers.get(topic.log);
    if (reader === undefined) {
      reader = new Reader(this.#nextReaderKey++, user, topic, begin);
      this.#addReader(reader);
    }
    reader.addRow(subscription, begin, end);
    this.commits.changed(reader);
    return reader;
  }

  /**
   * Settles offsets of a reader.
   *
   * @returns How many were not settled before.
   */
  settle(reader: Reader, from: number, to: number, result: Result): number {
    const settled = reader.settle(from, to, result);
    if (settled === 0) return 0;
    this.commits.changed(reader);
    this.#tidy(reader);
    return settled;
  }

  /** Forgets a topic that nobody reads. */
  forgetTopic(topic: Topic): void {
    this.totals.published += this.topics.end(topic);
    this.commits.changed(this.totals);
    this.producers.forgetLog(topic.log);
    this.topics.forget(topic);
  }

  /** Lets go of ended rows with nothing pending, and of a reader without rows. */
  #tidy(reader: Reader): void {
    for (let i = reader.rows.length - 1; i >= 0; i--) {
      const row = reader.rows[i];
      if (row.end === null || reader.pending(row, row.end) > 0) continue;
      this.#endRow(reader, row);
    }
    if (reader.rows.length === 0) this.#removeReader(reader);
  }

  #endRow(reader: Reader, row: Row): void {
    reader.rows.splice(reader.rows.indexOf(row), 1);
    this.totals.ended.addAll(row.counts);
    this.commits.changed(this.totals);
    const { subscription } = row;
    subscription.rowCount--;
    const isDone = subscription.rowCount === 0 &&
      subscription.endPosition !== null;
    if (isDone) this.#removeSubscription(subscription);
  }

  #removeSubscription(subscription: Subscription): void {
    const { user } = subscription;
    if (subscription.endPosition === null) {
      user.subscriptions.delete(subscription.filter);
      this.filters.delete(subscription);
    }
    user.ended.delete(subscription);
    if (!subscription.isGone) this.subscriptionCount--;
    this.commits.removed(subscription);
  }

  #addReader(reader: Reader): void {
    reader.user.readers.set(reader.topic.log, reader);
    reader.topic.readers.push(reader);
    this.readerCount++;
  }

  #removeReader(reader: Reader): void {
    if (reader.isGone) return;
    this.readerCount--;
    const { user, topic } = reader;
    user.readers.delete(topic.log);
    user.flow?.behind.delete(reader);
    topic.readers.splice(topic.readers.indexOf(reader), 1);
    this.commits.removed(reader);
  }

  #load(): void {
    const users = new Map<number, User>();
    for (const [key, bytes] of this.store.takeEntries(TABLES.users)) {
      const user = this.#loadUser(key, bytes);
      users.set(key, user);
      this.users.set(user.id, user);
      this.#count(user.machine, 1);
    }
    const subscriptions = new Map<number, Subscription>();
    for (const [key, bytes] of this.store.takeEntries(TABLES.subscriptions)) {
      const subscription = loadSubscription(key, bytes, users);
      subscriptions.set(key, subscription);
      if (subscription.endPosition === null) this.filters.add(subscription);
      this.subscriptionCount++;
      this.#nextSubscriptionKey = Math.max(this.#nextSubscriptionKey, key + 1);
    }
    for (const [key, bytes] of this.store.takeEntries(TABLES.readers)) {
      const entry = new EntryReader("readers", bytes);
      const user = orDamaged(users.get(entry.number()), "reader", key);
      const topic = this.topics.ofLog(entry.number());
      const reader = new Reader(key, user, orDamaged(topic, "reader", key), 0);
      readReader(
        entry,
        reader,
        (each) => orDamaged(subscriptions.get(each), "reader", key),
      );
      this.#addReader(reader);
      this.#nextReaderKey = Math.max(this.#nextReaderKey, key + 1);
    }
  }

  #loadUser(key: number, bytes: Uint8Array): User {
    const entry = new EntryReader("users", bytes);
    const user = new User(
      key,
      entry.text(),
      entry.text(),
      entry.bytes(),
      entry.flag(),
      0,
    );
    user.handle = entry.bytesOrNull();
    user.sentPosition = entry.number();
    user.suspect = entry.number();
    const seenMs = entry.number();
    if (entry.hasMore) user.isUnlisted = entry.flag();
    const stampMs = this.stampMs();
    // A direct handle has its time to come back, also when it was the broker
    // that was away.
    const isAway = seenMs > 0 && user.machine !== DIRECT_MACHINE;
    user.lastSeenMs = isAway ? seenMs : stampMs;
    user.awaySinceMs = this.nowMs() - Math.max(0, stampMs - user.lastSeenMs);
    // How far its flow had come went with the process: all that was there may
    // have been sent.
    if (user.handle !== null) user.sentPosition = this.store.position;
    return user;
  }
}

function loadSubscription(
  key: number,
  bytes: Uint8Array,
  users: ReadonlyMap<number, User>,
): Subscription {
  const entry = new EntryReader("subscriptions", bytes);
  const user = orDamaged(users.get(entry.number()), "subscription", key);
  const wish = {
    filter: entry.text(),
    manual: entry.flag(),
    echo: entry.flag(),
  };
  const subscription = new Subscription(key, user, wish, entry.number());
  subscription.endPosition = entry.numberOrNull();
  if (subscription.endPosition === null) {
    user.subscriptions.set(subscription.filter, subscription);
  } else user.ended.add(subscription);
  return subscription;
}

function orDamaged<T>(value: T | undefined, what: string, key: number): T {
  if (value !== undefined) return value;
  throw new MomError(
    "data_damaged",
    `Cannot read ${what} ${key}: it names something that is not there`,
  );
}
