/**
 * What became of messages, counted: once per subscription and topic, and once
 * for everything that has ended.
 *
 * @module
 */

import { OUTCOME } from "../../protocol/messages.ts";
import type { EntryReader, Field } from "./entries.ts";

/** Where an outcome is counted, and under which reason. */
export interface Result {
  /** The counter. */
  readonly column:
    | "delivered"
    | "deadLettered"
    | "expired"
    | "dropped"
    | "own";
  /** Why a message is dead or dropped. */
  readonly reason: string | null;
}

/** The results there are. */
export const RESULTS = {
  delivered: { column: "delivered", reason: null },
  expired: { column: "expired", reason: null },
  own: { column: "own", reason: null },
  undecodable: { column: "deadLettered", reason: "undecodable" },
  schema: { column: "deadLettered", reason: "schema" },
  damaged: { column: "dropped", reason: "damaged" },
  trimmed: { column: "dropped", reason: "trimmed" },
  machineLost: { column: "dropped", reason: "machine_lost" },
  destroyed: { column: "dropped", reason: "destroyed" },
  purged: { column: "dropped", reason: "purged" },
} as const satisfies Record<string, Result>;

const BY_OUTCOME: ReadonlyMap<number, Result> = new Map<number, Result>([
  [OUTCOME.delivered, RESULTS.delivered],
  [OUTCOME.expired, RESULTS.expired],
  [OUTCOME.undecodable, RESULTS.undecodable],
  [OUTCOME.schema, RESULTS.schema],
  [OUTCOME.damaged, RESULTS.damaged],
  [OUTCOME.trimmed, RESULTS.trimmed],
]);

/** The result that an outcome on the wire settles a message with; `null`: it settles nothing. */
export function resultOf(outcome: number): Result | null {
  return BY_OUTCOME.get(outcome) ?? null;
}

/** The counters. They only grow. */
export class Counts {
  /** Acknowledged by apps. */
  delivered = 0;
  /** Kept aside: no app could use them. */
  deadLettered = 0;
  /** Their time was up. */
  expired = 0;
  /** Gone for a reason. */
  dropped = 0;
  /** The user's own, not echoed. */
  own = 0;
  /** Reason → number, of what is dropped or dead-lettered. */
  readonly reasons: Map<string, number> = new Map();

  /** Counts from an entry. */
  static read(entry: EntryReader): Counts {
    const counts = new Counts();
    counts.delivered = entry.number();
    counts.deadLettered = entry.number();
    counts.expired = entry.number();
    counts.dropped = entry.number();
    counts.own = entry.number();
    const reasons = entry.list();
    while (reasons.hasMore) {
      counts.reasons.set(reasons.text(), reasons.number());
    }
    return counts;
  }

  /** Everything that is settled. */
  get settled(): number {
    return this.delivered + this.deadLettered + this.expired + this.dropped +
      this.own;
  }

  /** Counts `number` messages. */
  add(result: Result, number: number): void {
    this[result.column] += number;
    if (result.reason !== null) this.#addReason(result.reason, number);
  }

  /** Adds all of `other`. */
  addAll(other: Counts): void {
    this.delivered += other.delivered;
    this.deadLettered += other.deadLettered;
    this.expired += other.expired;
    this.dropped += other.dropped;
    this.own += other.own;
    for (const [reason, number] of other.reasons) {
      this.#addReason(reason, number);
    }
  }

  /** The fields for an entry. */
  toFields(): Field[] {
    return [
      this.delivered,
      this.deadLettered,
      this.expired,
      this.dropped,
      this.own,
      [...this.reasons].flat(),
    ];
  }

  #addReason(reason: string, number: number): void {
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + number);
  }
}
