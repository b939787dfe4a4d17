/**
 * Deliveries that were pushed and not taken yet. They stay bytes; one record at
 * a time is decoded, when it is asked for.
 *
 * @module
 */

import { remainingMs } from "../../../protocol/attributes.ts";
import { contentStart, recordEnd } from "../../../protocol/batch.ts";
import { epochOf } from "../../../protocol/log_id.ts";
import { type Deliver, TARGET_FLAG } from "../../../protocol/messages.ts";
import { FlowWindow } from "./flow_window.ts";

/** A delivery, and how far it is taken. */
export class InboundBatch {
  readonly topic: string;
  readonly sender: string;
  readonly time: number;
  readonly logId: number;
  /** What it costs of the window. */
  readonly cost: number;
  /** Whether the app acknowledges by itself. */
  readonly isManual: boolean;
  /** Whether an earlier handle may have had it. */
  readonly isRedelivered: boolean;
  /** When it expires, on the monotonic clock; `Infinity`: never. */
  readonly expiresAtMs: number;
  /** Offset of the first record that is not taken. */
  offset: number;
  /** Behind the last one. */
  readonly endOffset: number;
  /** What it is a part of, if anything. */
  bundle: InboundBundle | null = null;
  readonly #bytes: Uint8Array;
  #at = 0;

  /**
   * @param message What came.
   * @param flags Those of its target.
   * @param suspect Position up to which an earlier handle may have had it, in
   *   the broker's epoch as of ATTACHED.
   * @param nowMs The monotonic clock.
   */
  constructor(
    message: Omit<Deliver, "targets">,
    flags: number,
    suspect: { position: number; epoch: number },
    nowMs: number,
  ) {
    this.topic = message.topic;
    this.sender = message.sender;
    this.time = message.time;
    this.logId = message.logId;
    this.cost = FlowWindow.costOf(message.batch);
    this.isManual = (flags & TARGET_FLAG.manual) !== 0;
    this.isRedelivered = (flags & TARGET_FLAG.redelivered) !== 0 ||
      (message.position <= suspect.position &&
        epochOf(message.logId) === suspect.epoch);
    this.expiresAtMs = nowMs + (remainingMs(message.attributes) ?? Infinity);
    this.offset = message.baseOffset;
    this.endOffset = message.baseOffset + message.count;
    this.#bytes = message.batch;
  }

  /** Whether all of it is taken. */
  get isSpent(): boolean {
    return this.offset === this.endOffset;
  }

  /**
   * Takes the next record.
   *
   * @returns Its content, a view.
   * @throws {MomError} `bad_message` when no record begins there: nothing is
   *   taken then, and nothing ever will be.
   */
  take(): Uint8Array {
    const start = contentStart(this.#bytes, this.#at);
    const end = recordEnd(this.#bytes, this.#at);
    this.#at = end;
    this.offset++;
    this.bundle?.passed();
    return this.#bytes.subarray(start, end);
  }

  /** Nothing more of it is taken. */
  giveUp(): void {
    this.offset = this.endOffset;
  }
}

/** Deliveries of several topics whose records take turns (PROTOCOL 6.9). */
export class InboundBundle {
  readonly #parts: readonly InboundBatch[];
  readonly #order: Uint8Array;
  #at = 0;

  /** @param order The part of each record. */
  constructor(parts: readonly InboundBatch[], order: Uint8Array) {
    this.#parts = parts;
    this.#order = order;
    for (const part of parts) part.bundle = this;
  }

  /** The part that the next record is of; `undefined` when all are taken. */
  get current(): InboundBatch | undefined {
    while (this.#at < this.#order.length) {
      const part = this.#parts[this.#order[this.#at]!]!;
      // What was given up as a whole has no more turns.
      if (!part.isSpent) return part;
      this.#at++;
    }
    return undefined;
  }

  /** A record had its turn. */
  passed(): void {
    this.#at++;
  }
}

/** Deliveries in the order in which they came. */
export class InboundQueue {
  #deliveries: (InboundBatch | InboundBundle | undefined)[] = [];
  #head = 0;

  /** The one that the next record is of. */
  get first(): InboundBatch | undefined {
    while (true) {
      const head = this.#deliveries[this.#head];
      if (head === undefined) return undefined;
      const batch = head instanceof InboundBundle ? head.current : head;
      if (batch?.isSpent === false) return batch;
      this.#drop();
    }
  }

  /** Puts one behind the others. */
  push(delivery: InboundBatch | InboundBundle): void {
    this.#deliveries.push(delivery);
  }

  /** Drops all. */
  clear(): void {
    this.#deliveries.length = 0;
    this.#head = 0;
  }

  #drop(): void {
    this.#deliveries[this.#head++] = undefined;
    if (this.#head === this.#deliveries.length) this.clear();
    else if (this.#head >= 1_024) {
      this.#deliveries.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
