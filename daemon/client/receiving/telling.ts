/**
 * What the receiving half tells the other side: what became of messages (ACK) and
 * how much more may come (CREDIT). Both gather for a while, so that messages which
 * come alone do not wake both hops each time.
 *
 * @module
 */

import type { Clock, Timer } from "../../../protocol/clock.ts";
import type { MomError } from "../../../protocol/errors.ts";
import type { Message, Outcome } from "../../../protocol/messages.ts";
import { Acknowledger } from "./acknowledger.ts";
import { FlowWindow } from "./flow_window.ts";

/**
 * How long what was taken, and room for more, may stay untold. What an app took
 * within this time before it was killed comes again, marked.
 */
const TELL_DELAY_MS = 5;

/** Sends what a message is. */
export type Send = (message: Message) => void;

/** What one handle tells of what it receives. */
export class Telling {
  /** What became of messages. */
  readonly outcomes: Acknowledger;
  /** How much may come. */
  readonly window: FlowWindow = new FlowWindow();
  readonly #clock: Clock;
  readonly #ref: number;
  #send: Send | null = null;
  #timer: Timer | null = null;
  /** Somebody asked and there was nothing, since it was told last. */
  #hasRested = false;
  #isFlushQueued = false;

  /** @param ref The number of the user on its connections. */
  constructor(clock: Clock, ref: number) {
    this.#clock = clock;
    this.#ref = ref;
    this.outcomes = new Acknowledger(
      () => clock.monotonicMs(),
      () => this.#flushSoon(),
    );
  }

  /** Whether there is somebody to tell. */
  get isAttached(): boolean {
    return this.#send !== null;
  }

  /** There is a connection. */
  attached(send: Send): void {
    this.#send = send;
  }

  /** The connection is lost. */
  detached(): void {
    this.#send = null;
  }

  /** Notes what became of offsets. @returns The number under which it is confirmed. */
  settle(kind: Outcome, logId: number, from: number, to: number): number {
    const serial = this.outcomes.settle(kind, logId, from, to);
    if (this.outcomes.isFull) this.flush();
    else this.#soon();
    return serial;
  }

  /** A delivery of this cost has left memory. */
  free(cost: number): void {
    this.window.take(cost, this.#clock.monotonicMs());
    this.#grant(false);
  }

  /** Somebody waits and there is nothing: what was taken is told, more is asked for. */
  rest(): void {
    this.window.open();
    this.#grant(false);
    this.#hasRested = true;
    if (this.outcomes.isPending || this.window.hasMore) this.#soon();
  }

  /** Tells at once what became of messages. */
  flush(): void {
    if (this.#send === null) return;
    const ack = this.outcomes.next();
    if (ack !== null) this.#send({ type: "ACK", ref: this.#ref, ...ack });
  }

  /** Ends everything; nobody is told any more. */
  fail(error: MomError): void {
    this.#send = null;
    this.#timer?.cancel();
    this.#timer = null;
    this.outcomes.fail(error);
  }

  #grant(isResting: boolean): void {
    if (this.#send === null) return;
    const total = this.window.grant(isResting);
    if (total !== null) this.#send({ type: "CREDIT", ref: this.#ref, total });
  }

  #soon(): void {
    this.#timer ??= this.#clock.setTimer(TELL_DELAY_MS, () => {
      this.#timer = null;
      this.flush();
      this.#grant(this.#hasRested);
      this.#hasRested = false;
    });
  }

  /** What is acknowledged in one turn goes out together. */
  #flushSoon(): void {
    if (this.#isFlushQueued) return;
    this.#isFlushQueued = true;
    queueMicrotask(() => {
      this.#isFlushQueued = false;
      this.flush();
    });
  }
}
