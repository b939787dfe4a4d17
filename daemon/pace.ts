/**
 * Publishes on their way to the broker, and whether the link moves. One timer for
 * the link, not one per publish.
 *
 * @module
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import type { PublishStream } from "./publish_stream.ts";

/**
 * Without a receipt for this long the link counts as stalled: bounds, and factor
 * of the usual time. Looked at in steps, and only believed at the second look: the
 * first may come late, with receipts lying unread because this process was busy.
 */
const STALL = { minMs: 50, maxMs: 150, factor: 4, checkMs: 20 } as const;
/** What a receipt takes usually, before the first has come. */
const USUAL_MS = 5;

interface Sent {
  readonly stream: PublishStream;
  readonly sentMs: number;
  readonly bytes: number;
  readonly isDrain: boolean;
}

/** What is on its way. */
export class Pace {
  #clock: Clock;
  #onStall: () => void;
  #sent = new Map<number, Sent>();
  #fastBytes = 0;
  #drainBytes = 0;
  #progressMs = 0;
  #usualMs = USUAL_MS;
  #isStalled = false;
  #isDoubted = false;
  #timer: Timer | null = null;
  /** The clock as read in this turn: many come and go in one. */
  #nowMs = 0;
  #isNowRead = false;

  /** @param onStall Called when the link has come to a stand. */
  constructor(clock: Clock, onStall: () => void) {
    this.#clock = clock;
    this.#onStall = onStall;
  }

  /** Whether no answer has come for too long. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** Bytes that came from apps without a stay in the outbox. */
  get fastBytes(): number {
    return this.#fastBytes;
  }

  /** Bytes that came from the outbox. */
  get drainBytes(): number {
    return this.#drainBytes;
  }

  /** The streams with something on its way. */
  get streams(): Set<PublishStream> {
    const streams = new Set<PublishStream>();
    for (const { stream } of this.#sent.values()) streams.add(stream);
    return streams;
  }

  /** A publish goes out. */
  add(
    request: number,
    stream: PublishStream,
    bytes: number,
    isDrain: boolean,
  ): void {
    const sentMs = this.#now();
    if (this.#sent.size === 0) this.#progressMs = sentMs;
    this.#sent.set(request, { stream, sentMs, bytes, isDrain });
    if (isDrain) this.#drainBytes += bytes;
    else this.#fastBytes += bytes;
    this.#watch();
  }

  /** An answer came: the link moves. Gives the stream that it is about. */
  answered(request: number): PublishStream | null {
    const sent = this.#sent.get(request);
    if (sent === undefined) return null;
    this.#sent.delete(request);
    if (sent.isDrain) this.#drainBytes -= sent.bytes;
    else this.#fastBytes -= sent.bytes;
    this.#progressMs = this.#now();
    this.#usualMs += (this.#progressMs - sent.sentMs - this.#usualMs) / 8;
    this.#isStalled = false;
    return sent.stream;
  }

  /** There is another link, or none: nothing is on its way. */
  reset(): void {
    this.#sent.clear();
    this.#fastBytes = 0;
    this.#drainBytes = 0;
    this.#isStalled = false;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #now(): number {
    if (this.#isNowRead) return this.#nowMs;
    this.#isNowRead = true;
    queueMicrotask(() => this.#isNowRead = false);
    return this.#nowMs = this.#clock.monotonicMs();
  }

  #watch(): void {
    if (this.#timer !== null || this.#sent.size === 0) return;
    this.#timer = this.#clock.setTimer(STALL.checkMs, () => this.#check());
  }

  #check(): void {
    this.#timer = null;
    if (this.#sent.size === 0) return;
    const silentMs = this.#clock.monotonicMs() - this.#progressMs;
    const patienceMs = Math.min(
      STALL.maxMs,
      Math.max(STALL.minMs, STALL.factor * this.#usualMs),
    );
    if (silentMs < patienceMs) this.#isDoubted = false;
    else if (!this.#isDoubted) this.#isDoubted = true;
    else if (!this.#isStalled) {
      this.#isStalled = true;
      this.#onStall();
    }
    this.#watch();
  }
}
