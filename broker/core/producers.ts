/**
 * Producers: handles that publish, and how far their sequences have come for each
 * topic (PROTOCOL 8.2).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { splitUser } from "../../protocol/names.ts";
import type { BrokerStore } from "./broker_store.ts";
import type { Commits } from "./commits.ts";
import { type Entity, EntryReader, type Field, TABLES } from "./entries.ts";

/** A day in ms. */
export const DAY_MS = 24 * 60 * 60 * 1000;

/** How far one producer has come in one topic. */
export class Sequence implements Entity {
  readonly table: number = TABLES.sequences;
  isDirty = false;
  isGone = false;
  readonly key: number;
  readonly producer: Producer;
  readonly log: number;
  /** The last sequence that is stored. */
  last: number;

  constructor(key: number, producer: Producer, log: number, last: number) {
    this.key = key;
    this.producer = producer;
    this.log = log;
    this.last = last;
  }

  toFields(): Field[] {
    return [this.producer.key, this.log, this.last];
  }
}

/** One handle that publishes. */
export class Producer implements Entity {
  readonly table: number = TABLES.producers;
  isDirty = false;
  isGone = false;
  readonly key: number;
  /** Its random id. */
  readonly id: Uint8Array;
  /** Whose messages it sends: `name@machine`. */
  sender: string;
  /** The day of its last publish, since 1970. */
  lastSeenDay: number;
  /** It has an entry: from its first publish on. */
  isStored = false;
  /** Its sequences by log. */
  readonly sequences = new Map<number, Sequence>();
  /** An item's meta without attributes, once made. */
  plainMeta: { userKey: number; bytes: Uint8Array } | null = null;

  constructor(key: number, id: Uint8Array, sender: string, day: number) {
    this.key = key;
    this.id = id;
    this.sender = sender;
    this.lastSeenDay = day;
  }

  toFields(): Field[] {
    return [this.id, this.sender, this.lastSeenDay];
  }
}

/** All producers. */
export class Producers {
  readonly #commits: Commits;
  readonly #byId = new Map<string, Producer>();
  readonly #byLog = new Map<number, Set<Sequence>>();
  readonly #perMachine = new Map<string, number>();
  #nextKey = 1;
  #nextSequenceKey = 1;

  /** Loads what the store has. */
  constructor(store: BrokerStore, commits: Commits) {
    this.#commits = commits;
    const byKey = new Map<number, Producer>();
    for (const [key, bytes] of store.takeEntries(TABLES.producers)) {
      const entry = new EntryReader("producers", bytes);
      const id = entry.bytes();
      const producer = new Producer(key, id, entry.text(), entry.number());
      producer.isStored = true;
      byKey.set(key, producer);
      this.#byId.set(id.toHex(), producer);
      this.#count(producer, 1);
      this.#nextKey = Math.max(this.#nextKey, key + 1);
    }
    for (const [key, bytes] of store.takeEntries(TABLES.sequences)) {
      const entry = new EntryReader("sequences", bytes);
      const producer = byKey.get(entry.number());
      const sequence = producer === undefined
        ? null
        : new Sequence(key, producer, entry.number(), entry.number());
      if (sequence !== null) this.#add(sequence);
      this.#nextSequenceKey = Math.max(this.#nextSequenceKey, key + 1);
    }
  }

  /** How many there are. */
  get size(): number {
    return this.#byId.size;
  }

  /** How many sequences they have together. */
  sequenceCount = 0;

  /**
   * Makes sure that there is room for one more. They are kept for long, so there is
   * a limit to them.
   *
   * @throws {MomError} `storage_full`.
   */
  checkRoom(machine: string): void {
    const count = this.#perMachine.get(machine) ?? 0;
    if (
      count < LIMITS.producersPerMachine && this.size < LIMITS.producers
    ) return;
    throw new MomError(
      "storage_full",
      `Cannot introduce another producer: machine "${machine}" has ${count} of ${LIMITS.producersPerMachine}, all have ${this.size} of ${LIMITS.producers}`,
    );
  }

  #count({ sender }: Producer, more: number): void {
    const { machine } = splitUser(sender);
    const count = (this.#perMachine.get(machine) ?? 0) + more;
    if (count > 0) this.#perMachine.set(machine, count);
    else this.#perMachine.delete(machine);
  }

  /**
   * The producer with that id; a new one if need be. That one is not stored before
   * it publishes: introducing costs nothing that lasts.
   */
  introduce(id: Uint8Array, sender: string, stampMs: number): Producer {
    const hex = id.toHex();
    const day = Math.floor(stampMs / DAY_MS);
    let producer = this.#byId.get(hex);
    if (producer === undefined) {
      producer = new Producer(this.#nextKey++, id.slice(), sender, day);
      this.#byId.set(hex, producer);
      this.#count(producer, 1);
    } else if (producer.sender !== sender || producer.lastSeenDay !== day) {
      producer.sender = sender;
      producer.lastSeenDay = day;
      producer.plainMeta = null;
      if (producer.isStored) this.#commits.changed(producer);
    }
    return producer;
  }

  /** The producer with that id. */
  get(id: Uint8Array): Producer | undefined {
    return this.#byId.get(id.toHex());
  }

  /** Notes how far a producer has come. */
  advance(producer: Producer, log: number, last: number): void {
    let sequence = producer.sequences.get(log);
    if (sequence === undefined) {
      sequence = new Sequence(this.#nextSequenceKey++, producer, log, last);
      this.#add(sequence);
    }
    sequence.last = last;
    this.#commits.changed(sequence);
    if (producer.isStored) return;
    producer.isStored = true;
    this.#commits.changed(producer);
  }

  /** Forgets a producer that has ended. */
  forget(producer: Producer): void {
    if (this.#byId.delete(producer.id.toHex())) this.#count(producer, -1);
    this.sequenceCount -= producer.sequences.size;
    for (const sequence of producer.sequences.values()) {
      this.#byLog.get(sequence.log)?.delete(sequence);
      this.#commits.removed(sequence);
    }
    producer.sequences.clear();
    if (producer.isStored) this.#commits.removed(producer);
    else producer.isGone = true;
  }

  /** Forgets a producer whose connection is gone before it published. */
  forgetUnused(producer: Producer): void {
    if (!producer.isStored && !producer.isGone) this.forget(producer);
  }

  /** A log is gone. */
  forgetLog(log: number): void {
    for (const sequence of this.#byLog.get(log) ?? []) {
      sequence.producer.sequences.delete(log);
      this.sequenceCount--;
      this.#commits.removed(sequence);
    }
    this.#byLog.delete(log);
  }

  /** Forgets producers that have not been heard of since the day of a stamp, but for those that are present. */
  forgetSilent(
    stampMs: number,
    isPresent: (producer: Producer) => boolean,
  ): void {
    const oldest = Math.floor(stampMs / DAY_MS);
    for (const producer of this.#byId.values()) {
      if (producer.lastSeenDay >= oldest || isPresent(producer)) continue;
      this.forget(producer);
    }
  }

  #add(sequence: Sequence): void {
    this.sequenceCount++;
    sequence.producer.sequences.set(sequence.log, sequence);
    const same = this.#byLog.get(sequence.log);
    if (same !== undefined) same.add(sequence);
    else this.#byLog.set(sequence.log, new Set([sequence]));
  }
}
