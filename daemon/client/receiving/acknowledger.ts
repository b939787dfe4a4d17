/**
 * What became of what a handle received, until who answers for it has confirmed
 * that (PROTOCOL 7): outcomes gather, go out as merged ranges in numbered ACKs,
 * and are remembered until CONFIRM; after a lost connection all of them go along
 * with ATTACH. Pure; its owner sends.
 *
 * An ACK has two numbers: its serial counts over the handle's whole life, its
 * number on the wire since the last ATTACHED.
 *
 * @module
 */

import { MomError } from "../../../protocol/errors.ts";
import { epochOf } from "../../../protocol/log_id.ts";
import { OUTCOME, type Outcome } from "../../../protocol/messages.ts";
import type { Acknowledging } from "../message.ts";

/** Outcomes that go or went out together. */
interface Ack {
  readonly serial: number;
  /** Flat: kind, logId, from, to. */
  readonly outcomes: number[];
  /** Where the last range of each log is: topics may take turns. */
  readonly places: Map<number, number>;
  /** How many offsets. */
  count: number;
  /** Who waits for the confirmation. */
  confirmed: PromiseWithResolvers<void> | null;
  /** Since when somebody waits, on the monotonic clock. */
  waitsSinceMs: number;
}

/** Ranges after which an ACK goes out at the latest. */
const RANGES_MAX = 1_024;
/** Offsets after which an ACK goes out at the latest. */
const OFFSETS_MAX = 4_096;

/** The outcomes of one handle. */
export class Acknowledger implements Acknowledging {
  readonly #onUrgent: () => void;
  readonly #nowMs: () => number;
  #failure: MomError | null = null;
  #open: Ack = newAck(1);
  /** Those that were sent or listed in ATTACH, in the order of their serials. */
  #sent: Ack[] = [];
  #held = new Map<number, Set<number>>();
  #unconfirmed = 0;
  #confirmedSerial = 0;
  /** Serial before that of the ACK with number 1 on this connection. */
  #base = 0;

  /**
   * @param nowMs The monotonic clock.
   * @param onUrgent Called when somebody waits for what has gathered.
   */
  constructor(nowMs: () => number, onUrgent: () => void) {
    this.#nowMs = nowMs;
    this.#onUrgent = onUrgent;
  }

  /** Offsets that are held or have an outcome that is not confirmed. */
  get unconfirmed(): number {
    return this.#unconfirmed;
  }

  /** Whether outcomes wait to be sent. */
  get isPending(): boolean {
    return this.#open.count > 0;
  }

  /** Whether so many wait that they should be sent now. */
  get isFull(): boolean {
    return this.#open.count >= OFFSETS_MAX ||
      this.#open.outcomes.length >= RANGES_MAX * 4;
  }

  /** Whether everything is confirmed, but for what is held. */
  get isSettled(): boolean {
    return !this.isPending && this.#sent.length === 0;
  }

  /**
   * Notes what became of offsets.
   *
   * @returns The number under which that is confirmed.
   */
  settle(kind: Outcome, logId: number, from: number, to: number): number {
    this.#unconfirmed += to - from;
    return this.#note(kind, logId, from, to);
  }

  /** Notes that the app has a message and acknowledges it by itself. */
  hold(logId: number, offset: number): void {
    let held = this.#held.get(logId);
    if (held === undefined) this.#held.set(logId, held = new Set());
    held.add(offset);
    this.#unconfirmed++;
  }

  /** {@inheritDoc Acknowledging.release} */
  release(logId: number, offset: number): number {
    const held = this.#held.get(logId);
    held?.delete(offset);
    if (held?.size === 0) this.#held.delete(logId);
    return this.#note(OUTCOME.delivered, logId, offset, offset + 1);
  }

  /** {@inheritDoc Acknowledging.confirmed} */
  confirmed(serial: number): Promise<void> {
    if (serial <= this.#confirmedSerial) return Promise.resolve();
    if (this.#failure !== null) return Promise.reject(this.#failure);
    let ack = this.#open;
    if (serial === ack.serial) this.#onUrgent();
    // Serials follow each other without a gap.
    else ack = this.#sent[serial - this.#sent[0]!.serial]!;
    if (ack.confirmed === null) {
      ack.confirmed = Promise.withResolvers();
      ack.waitsSinceMs = this.#nowMs();
    }
    return ack.confirmed.promise;
  }

  /** Ends the waits that began before a moment; what they wait for goes on. */
  expire(error: MomError, beganBeforeMs: number): void {
    for (const ack of [...this.#sent, this.#open]) {
      if (ack.confirmed === null || ack.waitsSinceMs > beganBeforeMs) continue;
      ack.confirmed.reject(error);
      ack.confirmed = null;
    }
  }

  /** The next ACK, or `null` when nothing waits. */
  next(): { number: number; outcomes: number[]; awaited?: 1 } | null {
    if (!this.isPending) return null;
    const ack = this.#close();
    const { serial, outcomes, confirmed } = ack;
    const number = serial - this.#base;
    if (confirmed === null) return { number, outcomes };
    return { number, outcomes, awaited: 1 };
  }

  /** CONFIRM: everything up to this number of the connection is committed. */
  confirm(number: number): void {
    this.#confirmThrough(this.#base + number);
  }

  /**
   * What ATTACH lists: all that is not confirmed, and what is held. Nothing is
   * to be sent until {@linkcode Acknowledger.attached}.
   */
  known(): number[] {
    if (this.isPending) this.#close();
    const known: number[] = [];
    for (const { outcomes } of this.#sent) known.push(...outcomes);
    for (const [logId, held] of this.#held) {
      for (const offset of [...held].sort((a, b) => a - b)) {
        pushRange(known, OUTCOME.held, logId, offset, offset + 1);
      }
    }
    return known;
  }

  /**
   * ATTACHED: what ATTACH listed is committed by a daemon. By a broker it is, but
   * for what concerns another epoch, of which nobody can know (PROTOCOL 5.6).
   *
   * @param epoch The broker's, as of now; 0 at a daemon, which keeps all.
   */
  attached(epoch: number): void {
    for (const ack of this.#sent) {
      if (ack.confirmed !== null && epoch !== 0 && !isOf(ack, epoch)) {
        ack.confirmed.reject(
          new MomError(
            "outcome_unknown",
            "Cannot acknowledge: the broker's store was replaced meanwhile",
          ),
        );
      }
    }
    this.#base = this.#open.serial - 1;
    this.#confirmThrough(this.#base);
  }

  /** Ends all waits. */
  fail(error: MomError): void {
    this.#failure ??= error;
    this.#open.confirmed?.reject(error);
    for (const ack of this.#sent) ack.confirmed?.reject(error);
  }

  #note(kind: Outcome, logId: number, from: number, to: number): number {
    const { outcomes, places, serial } = this.#open;
    this.#open.count += to - from;
    if (!lengthen(outcomes, outcomes.length - 4, kind, logId, from, to)) {
      const place = places.get(logId) ?? -1;
      if (!lengthen(outcomes, place, kind, logId, from, to)) {
        places.set(logId, outcomes.length);
        outcomes.push(kind, logId, from, to);
      }
    }
    return serial;
  }

  #close(): Ack {
    const ack = this.#open;
    this.#sent.push(ack);
    this.#open = newAck(ack.serial + 1);
    return ack;
  }

  #confirmThrough(serial: number): void {
    let confirmed = 0;
    while (confirmed < this.#sent.length) {
      const ack = this.#sent[confirmed]!;
      if (ack.serial > serial) break;
      this.#unconfirmed -= ack.count;
      this.#confirmedSerial = ack.serial;
      ack.confirmed?.resolve();
      confirmed++;
    }
    this.#sent.splice(0, confirmed);
  }
}

function newAck(serial: number): Ack {
  return {
    serial,
    outcomes: [],
    places: new Map(),
    count: 0,
    confirmed: null,
    waitsSinceMs: 0,
  };
}

function isOf(ack: Ack, epoch: number): boolean {
  for (let i = 1; i < ack.outcomes.length; i += 4) {
    if (epochOf(ack.outcomes[i]!) !== epoch) return false;
  }
  return true;
}

/** Adds a range; one that goes on where the last one ended makes that longer. */
function pushRange(
  outcomes: number[],
  kind: Outcome,
  logId: number,
  from: number,
  to: number,
): void {
  const isLonger = lengthen(
    outcomes,
    outcomes.length - 4,
    kind,
    logId,
    from,
    to,
  );
  if (!isLonger) outcomes.push(kind, logId, from, to);
}

/** Makes the range at a place longer, if this one goes on where it ends. */
function lengthen(
  outcomes: number[],
  place: number,
  kind: Outcome,
  logId: number,
  from: number,
  to: number,
): boolean {
  if (
    place < 0 || outcomes[place + 3] !== from ||
    outcomes[place + 1] !== logId || outcomes[place] !== kind
  ) return false;
  outcomes[place + 3] = to;
  return true;
}
