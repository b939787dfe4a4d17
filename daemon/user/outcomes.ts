/**
 * What became of a user's messages, on its way to the broker: told over the link,
 * kept here while there is none, forgotten when the broker has it (PROTOCOL 7).
 *
 * @module
 */

import { LIMITS } from "../../protocol/limits.ts";
import { OUTCOME, type Outcome } from "../../protocol/messages.ts";
import type { OffsetSet } from "../../protocol/offset_set.ts";
import type { AppBinding } from "./app_binding.ts";
import type { Commits } from "../commits.ts";
import type { Inbox } from "./inbox.ts";
import type { Mark } from "./mark.ts";
import { OffsetsByLog } from "./offsets_by_log.ts";
import type { UserFlow } from "./flow.ts";
import type { UserMarks } from "./marks.ts";

/** What outcomes need of their user. */
export interface OutcomesOwner {
  /** The handle, if there is one. */
  readonly app: AppBinding | null;
  readonly flow: UserFlow;
  readonly inbox: Inbox;
  readonly marks: UserMarks;
}

/** The outcomes of one user's messages. */
export class UserOutcomes {
  readonly #commits: Commits;
  readonly #owner: OutcomesOwner;
  readonly #told = new OffsetsByLog();

  constructor(commits: Commits, owner: OutcomesOwner) {
    this.#commits = commits;
    this.#owner = owner;
  }

  /**
   * Told to the broker and not confirmed, of what it answers for: a delivery of it
   * may be on its way already, begun before the broker heard.
   */
  told(logId: number): OffsetSet | undefined {
    return this.#told.get(logId);
  }

  /**
   * What became of offsets: settled here if this daemon answers for them, else
   * handed on to the broker; kept here for it while there is no link.
   *
   * @returns Number of the ACK to the broker that must be confirmed before it is
   *   safe, 0 if it is safe with this daemon's next commit.
   */
  settle(outcome: Outcome, logId: number, from: number, to: number): number {
    const { app, flow, inbox, marks } = this.#owner;
    app?.pushed.remove(logId, from, to);
    inbox.overtake(logId, from, to);
    const mark = marks.find(logId);
    for (const [a, b] of mark?.open(from, to) ?? []) {
      this.#settleHere(mark!, outcome, a, b);
    }
    const elsewhere = mark?.outside(from, to) ?? [[from, to]];
    let number = 0;
    for (const [a, b] of elsewhere) {
      if (flow.state === "attached") {
        number = flow.report(outcome, logId, a, b);
        this.#told.add(logId, a, b);
      } else marks.keep(outcome, logId, a, b);
    }
    return number;
  }

  /**
   * Settles what a handle listed. The handle forgets it with ATTACHED, so it must
   * be on this daemon's disk by then, whoever answers for it (PROTOCOL 5.6).
   */
  settleKnown(outcome: Outcome, logId: number, from: number, to: number): void {
    this.#owner.inbox.overtake(logId, from, to);
    const mark = this.#owner.marks.get(logId);
    for (const [a, b] of mark.outside(from, to)) mark.take(a, b);
    for (const [a, b] of mark.open(from, to)) {
      this.#settleHere(mark, outcome, a, b);
    }
  }

  #settleHere(mark: Mark, outcome: Outcome, from: number, to: number): void {
    const { flow, inbox, marks } = this.#owner;
    marks.settle(mark, outcome, from, to);
    inbox.settled(mark.logId, from, to);
    this.#commits.whenDone(() => {
      if (flow.state === "attached") {
        flow.report(outcome, mark.logId, from, to);
      }
    });
  }

  /**
   * Keeps everything that was told to the broker and not confirmed: the flow ends
   * or begins anew.
   */
  keepUnconfirmed(): void {
    const { flow, marks } = this.#owner;
    const outcomes = flow.unconfirmed();
    for (let i = 0; i < outcomes.length; i += 4) {
      const [outcome, logId, from, to] = outcomes.slice(i, i + 4);
      if (outcome === OUTCOME.custody) continue;
      for (const [a, b] of marks.outside(logId, from, to)) {
        marks.keep(outcome as Outcome, logId, a, b);
      }
    }
    this.#told.clear();
  }

  /**
   * For ATTACH: custody, outcomes, and what the handle holds that the broker answers
   * for. As much as one ATTACH may list: what is not listed comes again and is known
   * here, or is told afterwards.
   */
  known(): number[] {
    const known = this.#owner.marks.outcomes();
    for (const each of this.#held()) known.push(each);
    return known.slice(0, LIMITS.knownRanges * 4);
  }

  /** What the handle holds that the broker answers for. */
  #held(): number[] {
    const { app, marks } = this.#owner;
    const held: number[] = [];
    for (const [logId, set] of app?.pushed ?? []) {
      for (const [from, to] of set.spans()) {
        for (const [a, b] of marks.outside(logId, from, to)) {
          held.push(OUTCOME.held, logId, a, b);
        }
      }
    }
    return held;
  }

  /** The broker has committed these outcomes. */
  confirmed(outcomes: readonly number[]): void {
    for (let i = 0; i < outcomes.length; i += 4) {
      const [outcome, logId, from, to] = outcomes.slice(i, i + 4);
      if (outcome <= OUTCOME.custody) continue;
      this.#told.remove(logId, from, to);
      this.#owner.marks.forget(logId, from, to);
    }
  }

  /** A new flow has begun: tells what the ATTACH before it did not list. */
  reportAll(): void {
    const outcomes = this.#owner.marks.outcomes();
    for (let i = 0; i < outcomes.length; i += 4) {
      this.#owner.flow.report(
        outcomes[i],
        outcomes[i + 1],
        outcomes[i + 2],
        outcomes[i + 3],
      );
    }
  }
}
