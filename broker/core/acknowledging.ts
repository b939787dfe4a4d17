/**
 * Acknowledgements: what clients say became of their deliveries (PROTOCOL 7).
 *
 * @module
 */

import { epochOf, logNumberOf } from "../../protocol/log_id.ts";
import { OUTCOME } from "../../protocol/messages.ts";
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
    this.apply(flow.user, outcomes, flow.session.role === "daemon");
    this.#confirmLater(flow, number);
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
      if (epochOf(outcomes[i + 1]) !== this.#state.store.epoch) continue;
      const log = logNumberOf(outcomes[i + 1]);
      const reader = user.readers.get(log);
      if (reader === undefined) continue;
      const from = outcomes[i + 2];
      // Nobody can have an opinion on what was never on disk.
      const to = Math.min(
        outcomes[i + 3],
        this.#state.store.committedEnd(log),
        reader.claimEnd,
      );
      if (from >= to) continue;
      const kind = outcomes[i];
      if (kind === OUTCOME.held) hold(held, log, from, to);
      else if (kind !== OUTCOME.custody) this.#settle(reader, from, to, kind);
      else if (mayTakeCustody) this.#takeCustody(reader, from, to);
    }
    return held;
  }

  /** A machine's disk is lost, and with it what its daemon answered for (PROTOCOL 7.8). */
  loseMachine(machine: string): void {
    for (const user of this.#state.users.values()) {
      if (user.machine !== machine) continue;
      for (const reader of [...user.readers.values()]) this.#lose(reader);
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
        timeMs: this.#state.nowMs(),
      });
    }
  }

  #takeCustody(reader: Reader, from: number, to: number): void {
    if (reader.custody.add(from, to) > 0) this.#state.commits.changed(reader);
  }

  #lose(reader: Reader): void {
    const { settled, custody } = reader;
    const first = Math.min(settled.floor, custody.floor);
    const lost = settled.missing(first, custody.end).flatMap(([from, to]) =>
      inCustody(custody, from, to)
    );
    for (const [from, to] of lost) {
      this.#state.settle(reader, from, to, RESULTS.machineLost);
    }
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
