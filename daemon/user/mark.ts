/**
 * What this daemon answers for, of one log and one user: the offsets in its
 * custody and what became of them. An offset stays here until the broker has
 * confirmed its outcome, so that neither a lost confirmation nor a crash makes
 * a message come twice or be reported never (PROTOCOL 7.4, 7.5).
 *
 * @module
 */

import { OUTCOME, type Outcome } from "../../protocol/messages.ts";
import { OffsetSet } from "../../protocol/offset_set.ts";
import type { Store } from "../../storage/store.ts";
import type { Saveable } from "../commits.ts";
import { decodeEntry, encodeEntry, TABLE } from "../tables.ts";

/** The outcomes that settle a message, in the order of an entry's fields. */
const SETTLING = [
  OUTCOME.delivered,
  OUTCOME.expired,
  OUTCOME.undecodable,
  OUTCOME.schema,
  OUTCOME.damaged,
  OUTCOME.trimmed,
] as const;

type MarkEntry = [
  user: number,
  logId: number,
  custody: number[],
  ...settled: number[][],
];

/** The offsets of one log that a daemon has in custody for one user. */
export class Mark implements Saveable {
  readonly key: number;
  readonly userKey: number;
  readonly logId: number;
  #custody = new OffsetSet();
  #settled = new OffsetSet();
  #byOutcome: OffsetSet[] = SETTLING.map(() => new OffsetSet());

  constructor(key: number, userKey: number, logId: number) {
    this.key = key;
    this.userKey = userKey;
    this.logId = logId;
  }

  /** A mark as it was stored. */
  static load(key: number, bytes: Uint8Array): Mark {
    const [userKey, logId, custody, ...settled] = decodeEntry<MarkEntry>(bytes);
    const mark = new Mark(key, userKey, logId);
    mark.#custody = OffsetSet.fromArray(custody);
    mark.#byOutcome = settled.map((flat) => OffsetSet.fromArray(flat));
    for (const set of mark.#byOutcome) {
      for (const [from, to] of set.spans()) mark.#settled.add(from, to);
    }
    return mark;
  }

  /** {@inheritDoc Saveable.save} */
  save(store: Store): void {
    if (this.isEmpty) return store.delete(TABLE.marks, this.key);
    const entry: MarkEntry = [
      this.userKey,
      this.logId,
      this.#custody.toArray(),
      ...this.#byOutcome.map((set) => set.toArray()),
    ];
    store.put(TABLE.marks, this.key, encodeEntry(entry));
  }

  /** Whether nothing is left to remember. */
  get isEmpty(): boolean {
    return this.#custody.spans().length === 0;
  }

  /** How many pieces it is in. */
  get rangeCount(): number {
    return 1 + this.#custody.rangeCount + this.#settled.rangeCount;
  }

  /** How many messages wait here for their user. */
  get pending(): number {
    let pending = 0;
    for (const [from, to] of this.#custody.spans()) {
      pending += to - from - this.#settled.countIn(from, to);
    }
    return pending;
  }

  /** Takes custody. */
  take(from: number, to: number): void {
    this.#custody.add(from, to);
  }

  /** The parts of a range that are in custody and not settled. */
  open(from: number, to: number): [number, number][] {
    const open: [number, number][] = [];
    for (const [start, end] of this.inside(from, to)) {
      for (const [a, b] of this.#settled.missing(start, end)) open.push([a, b]);
    }
    return open;
  }

  /** The parts of a range that are in custody. */
  inside(from: number, to: number): [number, number][] {
    const parts: [number, number][] = [];
    let at = from;
    for (const [start, end] of this.outside(from, to)) {
      if (start > at) parts.push([at, start]);
      at = end;
    }
    if (at < to) parts.push([at, to]);
    return parts;
  }

  /** The parts of a range that are not in custody. */
  outside(from: number, to: number): [number, number][] {
    return this.#custody.missing(from, to).map(([a, b]) => [a, b]);
  }

  /** Settles a range that is open. */
  settle(outcome: Outcome, from: number, to: number): void {
    const index = SETTLING.findIndex((each) => each === outcome);
    if (index === -1) {
      throw new RangeError(`Outcome ${outcome} settles nothing`);
    }
    this.#byOutcome[index].add(from, to);
    this.#settled.add(from, to);
  }

  /** The broker has committed what became of a range: it is forgotten here. */
  forget(from: number, to: number): void {
    this.#custody.remove(from, to);
    this.#settled.remove(from, to);
    for (const set of this.#byOutcome) set.remove(from, to);
  }

  /** Everything as a flat list of outcomes, for ATTACH (PROTOCOL 5.6). */
  outcomes(): number[] {
    const flat: number[] = [];
    for (const [from, to] of this.#custody.spans()) {
      flat.push(OUTCOME.custody, this.logId, from, to);
    }
    SETTLING.forEach((outcome, index) => {
      for (const [from, to] of this.#byOutcome[index].spans()) {
        flat.push(outcome, this.logId, from, to);
      }
    });
    return flat;
  }
}
