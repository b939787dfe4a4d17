/**
 * Dead letters: messages that a receiving handle could not use. The newest are
 * listed; all of them are counted where their subscriptions count.
 *
 * @module
 */

import type { BrokerStore } from "./broker_store.ts";
import type { Commits } from "./commits.ts";
import { type Entity, EntryReader, type Field, TABLES } from "./entries.ts";

/** How many entries are kept. */
export const DEAD_LETTERS_MAX = 1_000;

/** A run of messages with the same fate. */
export class DeadLetters implements Entity {
  readonly table: number = TABLES.deadLetters;
  isDirty = false;
  isGone = false;
  readonly key: number;
  /** `name@machine`. */
  readonly user: string;
  readonly topic: string;
  readonly log: number;
  /** First offset. */
  readonly from: number;
  /** Offset behind the last one. */
  readonly to: number;
  /** `undecodable` or `schema`. */
  readonly reason: string;
  /** When it was told, ms since 1970. */
  readonly timeMs: number;

  constructor(key: number, fields: Omit<DeadLettersFields, "key">) {
    this.key = key;
    this.user = fields.user;
    this.topic = fields.topic;
    this.log = fields.log;
    this.from = fields.from;
    this.to = fields.to;
    this.reason = fields.reason;
    this.timeMs = fields.timeMs;
  }

  toFields(): Field[] {
    return [
      this.user,
      this.topic,
      this.log,
      this.from,
      this.to,
      this.reason,
      this.timeMs,
    ];
  }
}

/** What one run tells. */
export interface DeadLettersFields {
  user: string;
  topic: string;
  log: number;
  from: number;
  to: number;
  reason: string;
  timeMs: number;
}

/** The runs that are kept, oldest first. */
export class DeadLetterList {
  readonly #commits: Commits;
  readonly #byKey = new Map<number, DeadLetters>();
  #nextKey = 1;

  /** Loads what the store has. */
  constructor(store: BrokerStore, commits: Commits) {
    this.#commits = commits;
    const entries = [...store.takeEntries(TABLES.deadLetters)];
    for (const [key, bytes] of entries.sort(([a], [b]) => a - b)) {
      const entry = new EntryReader("dead letters", bytes);
      const fields = {
        user: entry.text(),
        topic: entry.text(),
        log: entry.number(),
        from: entry.number(),
        to: entry.number(),
        reason: entry.text(),
        timeMs: entry.number(),
      };
      this.#byKey.set(key, new DeadLetters(key, fields));
      this.#nextKey = key + 1;
    }
  }

  /** Adds a run; the oldest goes when there are too many. */
  add(fields: DeadLettersFields): void {
    const run = new DeadLetters(this.#nextKey++, fields);
    this.#byKey.set(run.key, run);
    this.#commits.changed(run);
    if (this.#byKey.size <= DEAD_LETTERS_MAX) return;
    const [oldest] = this.#byKey.values();
    this.#byKey.delete(oldest.key);
    this.#commits.removed(oldest);
  }

  /** All runs, newest first. */
  newest(): DeadLetters[] {
    return [...this.#byKey.values()].reverse();
  }
}
