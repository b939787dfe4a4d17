/**
 * Topics: names and their logs, and who reads them.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LOG_NUMBER_MAX } from "../../protocol/log_id.ts";
import type { BrokerStore } from "./broker_store.ts";
import type { Commits } from "./commits.ts";
import { type Entity, EntryReader, type Field, TABLES } from "./entries.ts";
import type { Reader } from "./readers.ts";

/** The last publish is written down at most this often. */
export const LAST_PUBLISH_STEP_MS = 60 * 60 * 1000;

/** One topic and its log. */
export class Topic implements Entity {
  readonly table: number = TABLES.topics;
  isDirty = false;
  isGone = false;
  /** Its name. */
  readonly name: string;
  /** The number of its log, which is also its key. */
  readonly log: number;
  /** When it came into being, ms since 1970. */
  readonly createdMs: number;
  /** When something was last published, to an hour. */
  lastPublishMs: number;
  /** Offsets below are from the epochs before: there each names the same message. */
  inheritedEnd = 0;
  /** Who has a claim to messages of it. */
  readonly readers: Reader[] = [];
  /** As of which version of the filters every matching subscription has its row. */
  matchedVersion = -1;

  constructor(name: string, log: number, createdMs: number, lastMs: number) {
    this.name = name;
    this.log = log;
    this.createdMs = createdMs;
    this.lastPublishMs = lastMs;
  }

  /** The number of its log. */
  get key(): number {
    return this.log;
  }

  toFields(): Field[] {
    return [this.name, this.createdMs, this.lastPublishMs, this.inheritedEnd];
  }
}

/** All topics. */
export class Topics {
  readonly #store: BrokerStore;
  readonly #commits: Commits;
  readonly #byName = new Map<string, Topic>();
  readonly #byLog = new Map<number, Topic>();
  #lately = new Set<Topic>();

  /** Loads what the store has. */
  constructor(store: BrokerStore, commits: Commits) {
    this.#store = store;
    this.#commits = commits;
    for (const [log, bytes] of store.takeEntries(TABLES.topics)) {
      if (!store.hasLog(log)) {
        throw new MomError(
          "data_damaged",
          `Cannot read topic ${log}: its log is not there`,
        );
      }
      const entry = new EntryReader("topics", bytes);
      const topic = new Topic(
        entry.text(),
        log,
        entry.number(),
        entry.number(),
      );
      if (entry.hasMore) topic.inheritedEnd = entry.number();
      this.#add(topic);
    }
  }

  /** How many there are. */
  get size(): number {
    return this.#byName.size;
  }

  /** The topic of that name. */
  get(name: string): Topic | undefined {
    return this.#byName.get(name);
  }

  /** The topic whose log has that number. */
  ofLog(log: number): Topic | undefined {
    return this.#byLog.get(log);
  }

  /** All of them. */
  all(): IterableIterator<Topic> {
    return this.#byName.values();
  }

  /** A new topic; `name` is valid and unknown. */
  create(name: string, nowMs: number): Topic {
    const log = this.#commits.createLog();
    if (log > LOG_NUMBER_MAX) {
      throw new MomError(
        "storage_full",
        `Cannot create topic "${name}": this store has no log numbers left`,
      );
    }
    const topic = new Topic(name, log, nowMs, nowMs);
    this.#add(topic);
    this.#commits.changed(topic);
    return topic;
  }

  /** Notes a publish. */
  touch(topic: Topic, nowMs: number): void {
    this.#lately.add(topic);
    if (nowMs - topic.lastPublishMs < LAST_PUBLISH_STEP_MS) return;
    topic.lastPublishMs = nowMs;
    this.#commits.changed(topic);
  }

  /** The topics that were published to since the last call. */
  takeLately(): Set<Topic> {
    const lately = this.#lately;
    this.#lately = new Set();
    return lately;
  }

  /** Forgets a topic that nobody reads, and its log. */
  forget(topic: Topic): void {
    this.#byName.delete(topic.name);
    this.#byLog.delete(topic.log);
    this.#lately.delete(topic);
    this.#commits.removed(topic);
    this.#commits.dropLog(topic.log);
  }

  /** Next offset of a topic, what is not yet on disk included. */
  end(topic: Topic): number {
    return this.#store.end(topic.log);
  }

  #add(topic: Topic): void {
    this.#byName.set(topic.name, topic);
    this.#byLog.set(topic.log, topic);
  }
}
