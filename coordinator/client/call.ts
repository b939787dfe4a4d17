/**
 * One operation on its way: from the app's call to its answer, over as many
 * records as it takes.
 *
 * @module
 */

import { type Clock, MomError, type Timer } from "../../mod.ts";

/** An operation's own fields in its records. */
export interface OperationFields {
  readonly op: string;
  readonly [field: string]: unknown;
}

/** How a call is made. */
export interface CallOptions {
  readonly clock: Clock;
  readonly fields: OperationFields;
  /** In milliseconds from now; may be `Infinity`. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The app waits no more. */
  onAbandoned(call: Call): void;
}

/** Operations that do no harm if executed once more. */
const REPEATABLE: readonly string[] = [
  "hello",
  "leave",
  "semaphore_wait",
  "semaphore_cancel",
  "value_read",
];

/** One operation. */
export class Call {
  readonly fields: OperationFields;
  /** When it ends, on the monotonic clock. */
  readonly endsAtMs: number;
  /** Its number; 0 as long as it was never sent. */
  request = 0;
  /** The session that it was sent in. */
  session = 0;
  /** How many records there are of it. */
  sent = 0;
  lastSentMs = 0;
  readonly #settled = Promise.withResolvers<unknown>();
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  readonly #timer: Timer | null;
  #isOver = false;

  /** Begins to count its time. */
  constructor({ clock, fields, timeoutMs, signal, onAbandoned }: CallOptions) {
    this.fields = fields;
    this.endsAtMs = clock.monotonicMs() + timeoutMs;
    this.#signal = signal;
    this.#onAbort = () => {
      this.reject(signal?.reason);
      onAbandoned(this);
    };
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    // What is longer than a timer can be set for is as good as for ever.
    this.#timer = timeoutMs >= 2 ** 31 ? null : clock.setTimer(
      timeoutMs,
      () => {
        this.reject(this.#timeUp(timeoutMs));
        onAbandoned(this);
      },
    );
  }

  /** What the app waits for. */
  get result(): Promise<unknown> {
    return this.#settled.promise;
  }

  get isWait(): boolean {
    return this.fields.op === "semaphore_wait";
  }

  /** Whether it may be executed twice, or cannot have been once. */
  get canBegin(): boolean {
    return this.sent <= 1 || REPEATABLE.includes(this.fields.op);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  resolve(result: unknown): void {
    if (this.#end()) this.#settled.resolve(result);
  }

  reject(error: unknown): void {
    if (this.#end()) this.#settled.reject(error);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }

  #timeUp(timeoutMs: number): MomError {
    const { op } = this.fields;
    const name = "name" in this.fields ? ` of "${this.fields.name}"` : "";
    const what = `${op}${name}: no answer within ${timeoutMs} ms`;
    // A wait is taken back; what was never sent is not executed either.
    if (this.isWait || this.sent === 0) {
      return new MomError("timed_out", `Cannot go on with ${what}`);
    }
    return new MomError(
      "outcome_unknown",
      `Cannot tell what became of ${what}`,
    );
  }
}
