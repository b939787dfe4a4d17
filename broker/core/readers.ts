/**
 * A reader: one user's claim to the messages of one topic, whatever the number of
 * its subscriptions that match.
 *
 * ```text
 * log       0 ─────────────────────────────────────────── end
 * rows          begin ═══════ end                 (ended subscription)
 *                         begin ══════════════════ …
 * settled   ████████████░░░░███░░░░░░░░░░░░░░░░░░░        never sent again
 * custody                ███ ░███                          on the daemon's disk
 * next                             ▲                       sent up to here in this flow
 * ```
 *
 * What no row claims counts as settled. An offset settles once, and counts in
 * every row that claims it: so each row's counters and its unsettled offsets make
 * up all that it matched, and that is a check, not a definition.
 *
 * @module
 */

import { type OffsetRange, OffsetSet } from "../../protocol/offset_set.ts";
import { Counts, type Result } from "./counts.ts";
import {
  type Entity,
  type EntryReader,
  type Field,
  TABLES,
} from "./entries.ts";
import type { Subscription } from "./subscriptions.ts";
import type { Topic } from "./topics.ts";
import type { User } from "./users.ts";

/** One subscription's part of a reader. */
export interface Row {
  /** Whose it is. */
  readonly subscription: Subscription;
  /** First offset that it claims. */
  readonly begin: number;
  /** Offset behind the last one that it claims; `null` while it goes on. */
  end: number | null;
  /** Offsets that were settled for the user before it began. */
  readonly skipped: number;
  /** What became of the others. */
  readonly counts: Counts;
}

/** One user's claim to one topic. */
export class Reader implements Entity {
  readonly table: number = TABLES.readers;
  isDirty = false;
  isGone = false;
  readonly key: number;
  readonly user: User;
  readonly topic: Topic;
  /** Offsets that have their outcome, and those that nobody claims. */
  settled: OffsetSet;
  /** Offsets that the user's daemon answers for; settled ones may be among them. */
  custody: OffsetSet;
  /** Its subscriptions, oldest first. */
  readonly rows: Row[] = [];
  /** All below was sent in the user's present flow, or need not be. */
  next: number;
  /** Offsets above `next` that were sent all the same: a row began to reach back. */
  sent: OffsetSet | null = null;

  constructor(key: number, user: User, topic: Topic, begin: number) {
    this.key = key;
    this.user = user;
    this.topic = topic;
    this.settled = new OffsetSet(begin);
    this.custody = new OffsetSet(begin);
    this.next = begin;
  }

  /** Offset behind the last one that any row claims; infinite while one goes on. */
  get claimEnd(): number {
    let end = 0;
    for (const row of this.rows) {
      if (row.end === null) return Infinity;
      if (row.end > end) end = row.end;
    }
    return end;
  }

  /** Whether the app acknowledges the message at `offset` by itself. */
  isManual(offset: number): boolean {
    return this.rows.some((row) =>
      row.subscription.manual && claims(row, offset)
    );
  }

  /** Whether the user wants its own message at `offset`. */
  wantsEcho(offset: number): boolean {
    return this.rows.some((row) =>
      row.subscription.echo && claims(row, offset)
    );
  }

  /**
   * Adds a row.
   *
   * @param begin Where it begins; not below what the log has.
   * @param logEnd Where the log ends now.
   */
  addRow(subscription: Subscription, begin: number, logEnd: number): void {
    let skipped = 0;
    if (this.rows.length > 0) {
      const { claimEnd } = this;
      // What nobody claimed was passed over, not sent.
      this.next = Math.min(this.next, claimEnd);
      this.#reachBack(begin, logEnd);
      if (claimEnd < begin) this.settled.add(claimEnd, begin);
      skipped = this.settled.countIn(begin, logEnd);
    }
    const counts = new Counts();
    this.rows.push({ subscription, begin, end: null, skipped, counts });
    subscription.rowCount++;
  }

  /** Settles what is not settled of `from` up to `to`; gives how many offsets that was. */
  settle(from: number, to: number, result: Result): number {
    if (from >= to) return 0;
    let settled = 0;
    for (const [start, end] of this.settled.missing(from, to)) {
      settled += end - start;
      for (const row of this.rows) {
        const overlap = Math.min(end, row.end ?? end) -
          Math.max(start, row.begin);
        if (overlap > 0) row.counts.add(result, overlap);
      }
    }
    if (settled > 0) this.settled.add(from, to);
    return settled;
  }

  /** Ranges cut where rows begin or end: all of a piece is claimed by the same rows. */
  cutAtRows(ranges: OffsetRange[]): OffsetRange[] {
    let pieces = ranges;
    for (const { begin, end } of this.rows) {
      pieces = cutAt(pieces, begin);
      if (end !== null) pieces = cutAt(pieces, end);
    }
    return pieces;
  }

  /** How many offsets a row claims so far. */
  matched(row: Row, logEnd: number): number {
    return Math.max(0, (row.end ?? logEnd) - row.begin - row.skipped);
  }

  /** How many offsets of a row are not settled. */
  pending(row: Row, logEnd: number): number {
    const end = row.end ?? logEnd;
    return Math.max(
      0,
      end - row.begin - this.settled.countIn(row.begin, end),
    );
  }

  /** The first offset from `from` on that is neither settled nor in custody. */
  firstOpen(from: number): number {
    let at = from;
    while (true) {
      const behind = firstMissing(this.custody, firstMissing(this.settled, at));
      if (behind === at) return at;
      at = behind;
    }
  }

  toFields(): Field[] {
    return [
      this.user.key,
      this.topic.log,
      this.settled.toArray(),
      this.custody.toArray(),
      this.rows.map((row) => [
        row.subscription.key,
        row.begin,
        row.end,
        row.skipped,
        row.counts.toFields(),
      ]),
    ];
  }

  /** Makes room in the sets for a row that begins before all others. */
  #reachBack(begin: number, logEnd: number): void {
    const first = Math.min(...this.rows.map((row) => row.begin));
    if (begin >= first) return;
    this.settled = lowered(this.settled, begin, first);
    this.custody = raised(this.custody, begin, first);
    if (this.next <= begin) return;
    // What was sent in this flow must not be sent in it again.
    const sent = new OffsetSet(begin);
    sent.add(first, Math.min(this.next, logEnd));
    this.sent = sent;
    this.next = begin;
  }
}

/** The first number from `at` on that is not in `set`. */
export function firstMissing(set: OffsetSet, at: number): number {
  if (at < set.floor) return set.floor;
  if (set.rangeCount === 0) return at;
  const end = set.end;
  return at >= end ? at : set.missing(at, end + 1)[0][0];
}

/** What of `from` up to `to` is in none of the sets. */
export function missingInAll(
  sets: readonly OffsetSet[],
  from: number,
  to: number,
): OffsetRange[] {
  let open: OffsetRange[] = [[from, to]];
  for (const set of sets) {
    if (set.floor <= from && set.rangeCount === 0) continue;
    open = open.flatMap(([start, end]) => set.missing(start, end));
  }
  return open;
}

function cutAt(ranges: OffsetRange[], border: number): OffsetRange[] {
  const at = ranges.findIndex(([from, to]) => from < border && border < to);
  if (at === -1) return ranges;
  const [from, to] = ranges[at];
  return ranges.toSpliced(at, 1, [from, border], [border, to]);
}

function claims(row: Row, offset: number): boolean {
  return offset >= row.begin && (row.end === null || offset < row.end);
}

function lowered(set: OffsetSet, begin: number, first: number): OffsetSet {
  const copy = new OffsetSet(begin);
  copy.add(first, set.floor);
  for (const [from, to] of set.ranges()) copy.add(from, to);
  return copy;
}

/** What an ended row had in custody below `first` has long had its outcome. */
function raised(set: OffsetSet, begin: number, first: number): OffsetSet {
  const copy = new OffsetSet(begin);
  for (const [from, to] of set.ranges()) copy.add(Math.max(from, first), to);
  if (set.floor > first) copy.add(first, set.floor);
  return copy;
}

/** A reader's rows and sets from its entry, behind user and log. */
export function readReader(
  entry: EntryReader,
  reader: Reader,
  subscriptionOf: (key: number) => Subscription,
): void {
  reader.settled = OffsetSet.fromArray(entry.numbers());
  reader.custody = OffsetSet.fromArray(entry.numbers());
  reader.next = reader.settled.floor;
  const rows = entry.list();
  while (rows.hasMore) {
    const row = rows.list();
    const subscription = subscriptionOf(row.number());
    reader.rows.push({
      subscription,
      begin: row.number(),
      end: row.numberOrNull(),
      skipped: row.number(),
      counts: Counts.read(row.list()),
    });
    subscription.rowCount++;
  }
}
