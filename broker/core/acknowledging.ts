/**
 * Acknowledgements: what clients say became of their deliveries (PROTOCOL 7).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { epochOf, logNumberOf } from "../../protocol/log_id.ts";
import { OUTCOME } from "../../protocol/messages.ts";
import { checkNoCustody } from "../../protocol/outcomes_check.ts";
import { OffsetSet } from "../../protocol/offset_set.ts";
import { resultOf, RESULTS } from "./counts.ts";
import type { Flow } from "./flow.ts";
import type { Reader } from "./readers.ts";
import type { State } from "./state.ts";
import type { User } from "./users.ts";

/** Applies outcomes. */
export class Acknowledging {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  /** An ACK: its outcomes are applied and confirmed when they are on disk. */
  acknowledge(
    flow: Flow,
    number: number,
    outcomes: readonly number[],
  ): void {
    const isDaemon = flow.session.role === "daemon";
    this.check(flow.user, outcomes, isDaemon);
    this.apply(flow.user, outcomes, isDaemon);
    release(flow, outcomes);
    this.#confirmLater(flow, number);
  }

  /**
   * Refuses outcomes that cannot be, before anything is changed.
   *
   * @param user `undefined`: there is none yet.
   * @throws {MomError} `bad_message`: custody of an app, or too many gaps.
   */
  check(
    user: User | undefined,
    outcomes: readonly number[],
    mayTakeCustody: boolean,
  ): void {
    if (!mayTakeCustody) checkNoCustody(outcomes);
    if (user !== undefined) this.#checkGaps(user, outcomes);
  }

  /**
   * Applies what is not `held`.
   *
   * @param mayTakeCustody Whether the client is a daemon.
   * @returns What is held, by log.
   */
  apply(
    user: User,
    outcomes: readonly number[],
    mayTakeCustody: boolean,
  ): Map<number, OffsetSet> {
    const held = new Map<number, OffsetSet>();
    for (let i = 0; i < outcomes.length; i += 4) {
      const log = logNumberOf(outcomes[i + 1]);
      const reader = user.readers.get(log);
      if (reader === undefined) continue;
      const from = outcomes[i + 2];
      const end = this.#knownEnd(epochOf(outcomes[i + 1]), reader);
      const to = Math.min(outcomes[i + 3], end, reader.claimEnd);
      if (from >= to) continue;
      const kind = outcomes[i];
      if (kind === OUTCOME.held) hold(held, log, from, to);
      else if (kind !== OUTCOME.custody) this.#settle(reader, from, to, kind);
      else if (mayTakeCustody) this.#takeCustody(reader, from, to);
    }
    return held;
  }

  /**
   * In a new epoch a daemon has listed all that it answers for: what the broker
   * believes to be there and is not, as it was settled since the backup, is the
   * broker's again (PROTOCOL 5.6).
   *
   * @returns How many messages that were.
   */
  takeBack(user: User, known: readonly number[]): number {
    let count = 0;
    for (const reader of [...user.readers.values()]) {
      const open = openCustody(reader);
      if (open.length === 0) continue;
      const listed = this.#listedOf(reader, known);
      for (const [from, to] of open) {
        for (const [start, end] of listed.missing(from, to)) {
          count += end - start;
          this.#takeBackRange(reader, start, end);
        }
      }
    }
    return count;
  }

  /**
   * A machine's disk is lost, and with it what its daemon answered for (PROTOCOL 7.8).
   *
   * @returns How many messages that were.
   */
  loseMachine(machine: string): number {
    let count = 0;
    for (const user of this.#state.users.values()) {
      if (user.machine !== machine) continue;
      for (const reader of [...user.readers.values()]) {
        for (const [from, to] of openCustody(reader)) {
          count += this.#state.settle(reader, from, to, RESULTS.machineLost);
        }
      }
    }
    return count;
  }

  /**
   * Below which offset an epoch's numbers name what is in this store: nobody can
   * have an opinion on what was never on disk.
   */
  #knownEnd(epoch: number, { topic }: Reader): number {
    const { store, totals } = this.#state;
    if (epoch === store.epoch) return store.committedEnd(topic.log);
    return epoch === totals.epochBefore ? topic.inheritedEnd : 0;
  }

  /** What of a reader's topic is listed as taken over. */
  #listedOf(reader: Reader, known: readonly number[]): OffsetSet {
    const listed = new OffsetSet();
    for (let i = 0; i < known.length; i += 4) {
      const [kind, logId, from, to] = known.slice(i, i + 4);
      if (kind === OUTCOME.held) continue;
      if (logNumberOf(logId) !== reader.topic.log) continue;
      const end = this.#knownEnd(epochOf(logId), reader);
      listed.add(from, Math.min(to, end));
    }
    return listed;
  }

  #takeBackRange(reader: Reader, from: number, to: number): void {
    const begin = this.#state.store.begin(reader.topic.log);
    reader.custody.remove(from, to);
    this.#state.commits.changed(reader);
    // The log has not waited for what lay at the daemon.
    const gone = Math.min(begin, to);
    if (from < gone) {
      this.#state.settle(reader, from, gone, RESULTS.machineLost);
    }
  }

  /** What is written down with every change must not fall into a million pieces. */
  #checkGaps(user: User, outcomes: readonly number[]): void {
    const most = LIMITS.settledRanges - outcomes.length / 4;
    const isNear = (reader: Reader) => gapsOf(reader) > most;
    if (!someReader(user, outcomes, isNear)) return;
    const more = new Map<number, number>();
    for (let i = 1; i < outcomes.length; i += 4) {
      const log = logNumberOf(outcomes[i]);
      more.set(log, (more.get(log) ?? 0) + 1);
    }
    for (const [log, count] of more) {
      const reader = user.readers.get(log);
      if (reader === undefined) continue;
      if (gapsOf(reader) + count > LIMITS.settledRanges) throw tooMany(reader);
    }
  }

  #settle(reader: Reader, from: number, to: number, kind: number): void {
    const result = resultOf(kind);
    if (result === null) return;
    const { column, reason } = result;
    const isTold = column === "deadLettered" || column === "dropped";
    const open = isTold ? reader.settled.missing(from, to) : [];
    this.#state.settle(reader, from, to, result);
    for (const [start, end] of open) {
      if (column === "dropped") {
        this.#state.tellDropped(reader, start, end, reason ?? "");
        continue;
      }
      this.#state.deadLetters.add({
        user: reader.user.id,
        topic: reader.topic.name,
        log: reader.topic.log,
        from: start,
        to: end,
        reason: reason ?? "",
        timeMs: this.#state.stampMs(),
      });
    }
  }

  #takeCustody(reader: Reader, from: number, to: number): void {
    if (reader.custody.add(from, to) > 0) this.#state.commits.changed(reader);
  }

  /** One CONFIRM per flow and group, for the last of its ACKs. */
  #confirmLater(flow: Flow, number: number): void {
    const { commits } = this.#state;
    const open = flow.confirm;
    if (open !== null && open.serial === commits.serial) {
      open.number = Math.max(open.number, number);
      return;
    }
    const confirm = { serial: commits.serial, number };
    flow.confirm = confirm;
    commits.whenDone(() => {
      if (!flow.isCurrent) return;
      const { ref, session } = flow;
      session.send({ type: "CONFIRM", ref, number: confirm.number });
    });
  }
}

function hold(
  held: Map<number, OffsetSet>,
  log: number,
  from: number,
  to: number,
): void {
  let set = held.get(log);
  if (set === undefined) {
    set = new OffsetSet();
    held.set(log, set);
  }
  set.add(from, to);
}

/** What of a reader is in custody and has no outcome. */
function openCustody(
  { settled, custody }: Reader,
): (readonly [number, number])[] {
  const first = Math.min(settled.floor, custody.floor);
  return settled.missing(first, custody.end).flatMap(([from, to]) =>
    inCustody(custody, from, to)
  );
}

/** What is decided is not held any more: another subscription may ask for it anew. */
function release(flow: Flow, outcomes: readonly number[]): void {
  for (let i = 0; i < outcomes.length && flow.held.size > 0; i += 4) {
    const [, logId, from, to] = outcomes.slice(i, i + 4);
    flow.held.get(logNumberOf(logId))?.remove(from, to);
  }
}

/** What of `from` up to `to` is in the set. */
function inCustody(
  set: OffsetSet,
  from: number,
  to: number,
): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  let at = from;
  for (const [start, end] of set.missing(from, to)) {
    if (at < start) found.push([at, start]);
    at = end;
  }
  if (at < to) found.push([at, to]);
  return found;
}

function gapsOf({ settled, custody }: Reader): number {
  return Math.max(settled.rangeCount, custody.rangeCount);
}

/** Whether it holds for the reader of any outcome. */
function someReader(
  user: User,
  outcomes: readonly number[],
  holds: (reader: Reader) => boolean,
): boolean {
  for (let i = 1; i < outcomes.length; i += 4) {
    const reader = user.readers.get(logNumberOf(outcomes[i]));
    if (reader !== undefined && holds(reader)) return true;
  }
  return false;
}

function tooMany(reader: Reader): MomError {
  return new MomError(
    "bad_message",
    `Cannot acknowledge for "${reader.user.id}": what is settled of ` +
      `"${reader.topic.name}" would have more than ${LIMITS.settledRanges} gaps`,
  );
}
