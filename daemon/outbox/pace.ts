/**
 * Publishes on their way to the broker, and whether the link moves. One timer for
 * the link, not one per publish.
 *
 * @module
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Producer } from "./producers.ts";
import type { PublishStream } from "./publish_stream.ts";

/**
 * Without a receipt for this long the link counts as stalled: bounds, and factor
 * of the usual time. Looked at in steps, and only believed at the second look: the
 * first may come late, with receipts lying unread because this process was busy.
 */
const STALL = { minMs: 50, maxMs: 150, factor: 4, checkMs: 20 } as const;
/** A link that moves, but takes this long for a publish, is too slow to wait for. */
const LATE_MS = 1_000;
/** What a receipt takes usually, before the first has come. */
const USUAL_MS = 5;

interface Sent {
  readonly stream: PublishStream;
  readonly sentMs: number;
  readonly bytes: number;
}

/** What is on its way. */
export class Pace {
  #clock: Clock;
  #onStall: () => void;
  /** What is on no disk of ours, oldest first. */
  #fast = new Map<number, Sent>();
  /** What lies in the outbox, too. */
  #drain = new Map<number, Sent>();
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

  /**
   * @param onStall Called when the link has come to a stand, or is too slow for
   *   what is under way without a stay in the outbox.
   */
  constructor(clock: Clock, onStall: () => void) {
    this.#clock = clock;
    this.#onStall = onStall;
  }

  /** Whether no answer has come for too long. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** Bytes that came from apps and are not in the outbox. */
  get fastBytes(): number {
    return this.#fastBytes;
  }

  /** Bytes that are in the outbox, too. */
  get drainBytes(): number {
    return this.#drainBytes;
  }

  /** Those who have something on its way that is not in the outbox. */
  get producers(): Set<Producer> {
    const producers = new Set<Producer>();
    for (const { stream } of this.#fast.values()) {
      producers.add(stream.producer);
    }
    return producers;
  }

  /** What is on its way of some streams went to the outbox, too. */
  stored(streams: ReadonlySet<PublishStream>): void {
    for (const [request, sent] of this.#fast) {
      if (!streams.has(sent.stream)) continue;
      this.#fast.delete(request);
      this.#drain.set(request, sent);
      this.#countFast(sent.stream, -sent.bytes);
      this.#drainBytes += sent.bytes;
    }
  }

  /** A publish goes out. */
  add(
    request: number,
    stream: PublishStream,
    bytes: number,
    isDrain: boolean,
  ): void {
    const sentMs = this.#now();
    if (this.#isIdle) this.#progressMs = sentMs;
    (isDrain ? this.#drain : this.#fast).set(request, {
      stream,
      sentMs,
      bytes,
    });
    if (isDrain) this.#drainBytes += bytes;
    else this.#countFast(stream, bytes);
    this.#watch();
  }

  /** An answer came: the link moves. Gives the stream that it is about. */
  answered(request: number): PublishStream | null {
    const fast = this.#fast.get(request);
    const sent = fast ?? this.#drain.get(request);
    if (sent === undefined) return null;
    if (fast === undefined) {
      this.#drain.delete(request);
      this.#drainBytes -= sent.bytes;
    } else {
      this.#fast.delete(request);
      this.#countFast(sent.stream, -sent.bytes);
    }
    this.#progressMs = this.#now();
    this.#usualMs += (this.#progressMs - sent.sentMs - this.#usualMs) / 8;
    this.#isStalled = false;
    return sent.stream;
  }

  /** There is another link, or none: nothing is on its way. */
  reset(): void {
    for (const { stream, bytes } of this.#fast.values()) {
      this.#countFast(stream, -bytes);
    }
    this.#fast.clear();
    this.#drain.clear();
    this.#drainBytes = 0;
    this.#isStalled = false;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #countFast({ producer }: PublishStream, bytes: number): void {
    this.#fastBytes += bytes;
    producer.fastBytes += bytes;
  }

  #now(): number {
    if (this.#isNowRead) return this.#nowMs;
    this.#isNowRead = true;
    queueMicrotask(() => this.#isNowRead = false);
    return this.#nowMs = this.#clock.monotonicMs();
  }

  get #isIdle(): boolean {
    return this.#fast.size === 0 && this.#drain.size === 0;
  }

  #watch(): void {
    if (this.#timer !== null || this.#isIdle) return;
    this.#timer = this.#clock.setTimer(STALL.checkMs, () => this.#check());
  }

  #check(): void {
    this.#timer = null;
    if (this.#isIdle) return;
    const nowMs = this.#clock.monotonicMs();
    const silentMs = nowMs - this.#progressMs;
    const patienceMs = Math.min(
      STALL.maxMs,
      Math.max(STALL.minMs, STALL.factor * this.#usualMs),
    );
    const isSilent = silentMs >= patienceMs;
    const [oldest] = this.#fast.values();
    const isLate = nowMs - (oldest?.sentMs ?? nowMs) >= LATE_MS;
    if (!isSilent && !isLate) this.#isDoubted = false;
    else if (!this.#isDoubted) this.#isDoubted = true;
    else if (isLate || !this.#isStalled) {
      this.#isStalled = isSilent;
      this.#onStall();
    }
    this.#watch();
  }
}
