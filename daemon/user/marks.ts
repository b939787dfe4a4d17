/**
 * What this daemon answers for, of one user: a mark for each log, as long as all of
 * them together have no more ranges than may be kept (PROTOCOL 11.6).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Outcome } from "../../protocol/messages.ts";
import type { OffsetRange } from "../../protocol/offset_set.ts";
import type { Commits } from "../commits.ts";
import { Mark } from "./mark.ts";

/** What marks stand on. */
export interface MarksContext {
  readonly commits: Commits;
  /** A fresh key for a mark. */
  nextMarkKey(): number;
}

/** Whose marks they are. */
export interface MarksOwner {
  readonly key: number;
  readonly name: string;
}

/** The marks of one user. */
export class UserMarks {
  readonly #context: MarksContext;
  readonly #owner: MarksOwner;
  readonly #marks = new Map<number, Mark>();
  /** At most how many ranges they have: as counted last, and what came since. */
  #ranges = 0;
  #isCrowded = false;

  constructor(context: MarksContext, owner: MarksOwner) {
    this.#context = context;
    this.#owner = owner;
  }

  /** There are as many ranges as may be: what comes now waits at the broker. */
  get isCrowded(): boolean {
    return this.#isCrowded;
  }

  /** Messages here that wait for their user. */
  get pending(): number {
    let pending = 0;
    for (const mark of this.#marks.values()) pending += mark.pending;
    return pending;
  }

  /** All of them. */
  all(): Iterable<Mark> {
    return this.#marks.values();
  }

  /** The mark of a log, if there is one. */
  find(logId: number): Mark | undefined {
    return this.#marks.get(logId);
  }

  /** The mark of a log; made when there is none. */
  get(logId: number): Mark {
    const known = this.#marks.get(logId);
    if (known !== undefined) return known;
    const mark = new Mark(this.#context.nextMarkKey(), this.#owner.key, logId);
    this.#marks.set(logId, mark);
    return mark;
  }

  /** Takes a mark that was stored. */
  add(mark: Mark): void {
    this.#marks.set(mark.logId, mark);
    this.#grow(mark.rangeCount);
  }

  /** The parts of a range that the broker answers for. */
  outside(logId: number, from: number, to: number): OffsetRange[] {
    return this.#marks.get(logId)?.outside(from, to) ?? [[from, to]];
  }

  /** Takes custody of what goes to the inbox. */
  take(logId: number, ranges: readonly OffsetRange[]): void {
    const mark = this.get(logId);
    for (const [from, to] of ranges) mark.take(from, to);
    this.#context.commits.changed(mark);
    this.#grow(2);
  }

  /** Settles a range of a mark that is open. */
  settle(mark: Mark, outcome: Outcome, from: number, to: number): void {
    mark.settle(outcome, from, to);
    this.#grow(1);
    this.#context.commits.changed(mark);
  }

  /** Takes an outcome into custody that can't be told to the broker now. */
  keep(outcome: Outcome, logId: number, from: number, to: number): void {
    const mark = this.get(logId);
    mark.take(from, to);
    mark.settle(outcome, from, to);
    this.#grow(3);
    this.#context.commits.changed(mark);
  }

  /** The broker has committed what became of a range. */
  forget(logId: number, from: number, to: number): void {
    const mark = this.#marks.get(logId);
    if (mark === undefined || mark.inside(from, to).length === 0) return;
    mark.forget(from, to);
    if (mark.isEmpty) this.#marks.delete(logId);
    this.#context.commits.changed(mark);
  }

  /** Everything as a flat list of outcomes (PROTOCOL 5.6). */
  outcomes(): number[] {
    const flat: number[] = [];
    for (const mark of this.#marks.values()) {
      for (const each of mark.outcomes()) flat.push(each);
    }
    return flat;
  }

  /** The user ends: nothing of it is kept. */
  clear(): void {
    for (const mark of this.#marks.values()) {
      mark.forget(0, Number.MAX_SAFE_INTEGER);
      this.#context.commits.changed(mark);
    }
    this.#marks.clear();
  }

  /**
   * Makes sure that so many more ranges can be kept for the broker.
   *
   * @throws {MomError} `storage_full`.
   */
  checkRoomFor(ranges: number): void {
    const count = ranges + this.#rangeCount;
    if (count <= LIMITS.markRanges) return;
    throw new MomError(
      "storage_full",
      `Cannot attach "${this.#owner.name}": it would have ${count} ranges that the broker has not confirmed, at most ${LIMITS.markRanges}`,
    );
  }

  /** Looks whether there is room again. */
  recount(): void {
    this.#ranges = this.#rangeCount;
    this.#isCrowded = this.#ranges > LIMITS.markRanges;
    // Counting takes long, so it is not done for each that comes on top.
    if (this.#isCrowded) this.#ranges = -Infinity;
  }

  /** There may be so many ranges more than before. */
  #grow(ranges: number): void {
    this.#ranges += ranges;
    if (this.#ranges > LIMITS.markRanges) this.recount();
  }

  get #rangeCount(): number {
    let count = 0;
    for (const mark of this.#marks.values()) count += mark.rangeCount;
    return count;
  }
}
