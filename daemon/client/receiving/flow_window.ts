/**
 * How much the other side may send (PROTOCOL 6.6): closed until the app asks,
 * then as wide as the app is quick. Pure.
 *
 * @module
 */

import { MomError } from "../../../protocol/errors.ts";
import { frameBytesMax, LIMITS } from "../../../protocol/limits.ts";

/** Width when the app asks for the first time, in bytes. */
export const WINDOW_BYTES_MIN = 256 * 1024;
/** Width that it may grow to, in bytes. */
export const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** An app that takes a whole window in less time gets a wider one. */
const QUICK_MS = 100;

/** The credit of one handle. Costs are totals since ATTACHED. */
export class FlowWindow {
  #width = 0;
  #granted = 0;
  #taken = 0;
  #received = 0;
  /** What may come on top of what was granted: one record of any size. */
  recordBytesMax: number = frameBytesMax(LIMITS.messageBytes);
  /** Where the present measurement began: total taken, and when. */
  #markTaken = 0;
  #markMs = -Infinity;

  /** Whether the app has asked at all. */
  get isOpen(): boolean {
    return this.#width > 0;
  }

  /** Bytes that may be on their way or waiting. */
  get width(): number {
    return this.#width;
  }

  /** What a delivery costs. */
  static costOf(batch: Uint8Array): number {
    return batch.length + LIMITS.deliverOverheadBytes;
  }

  /** The app asks. */
  open(): void {
    if (this.#width === 0) this.#width = WINDOW_BYTES_MIN;
  }

  /** A new flow begins. @returns The credit to begin with. */
  restart(): number {
    this.#granted = this.#width;
    this.#taken = this.#received = this.#markTaken = 0;
    this.#markMs = -Infinity;
    return this.#granted;
  }

  /**
   * A delivery of this cost has come.
   *
   * @throws {MomError} `bad_message`: the other side sends more than it may, and
   *   that must not fill this one's memory.
   */
  receive(cost: number): void {
    this.#received += cost;
    if (this.#received <= this.#granted + this.recordBytesMax) return;
    throw new MomError(
      "bad_message",
      `Cannot take delivery: ${this.#received} bytes were sent, ${this.#granted} granted`,
    );
  }

  /**
   * The app has taken deliveries of this cost.
   *
   * @param nowMs The monotonic clock.
   */
  take(cost: number, nowMs: number): void {
    this.#taken += cost;
    if (this.#taken - this.#markTaken < this.#width) return;
    if (nowMs - this.#markMs <= QUICK_MS) {
      this.#width = Math.min(this.#width * 2, WINDOW_BYTES_MAX);
    }
    this.#markTaken = this.#taken;
    this.#markMs = nowMs;
  }

  /** Whether there is anything to grant, however little. */
  get hasMore(): boolean {
    return this.#taken + this.#width > this.#granted;
  }

  /**
   * The new total to grant, or `null` while it is not worth telling.
   *
   * @param isResting The app waits: the window must be told whole, since a large
   *   message passes only when all of it is free.
   */
  grant(isResting: boolean): number | null {
    const total = this.#taken + this.#width;
    const more = total - this.#granted;
    if (more <= 0 || (!isResting && more < this.#width / 4)) return null;
    this.#granted = total;
    return total;
  }
}
