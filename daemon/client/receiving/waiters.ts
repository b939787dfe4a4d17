/**
 * Calls of `receive` that wait, first come, first served.
 *
 * @module
 */

import type { MomError } from "../../../protocol/errors.ts";
import { Deadline, type Deadlines } from "../deadlines.ts";
import type { Message } from "../message.ts";

/** How long a call waits. */
export interface Wait {
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** One call that waits. */
export abstract class Waiter extends Deadline {
  /** When it began, on the monotonic clock. */
  readonly startMs: number;
  readonly #queue: Waiters;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: (() => void) | undefined;

  constructor(queue: Waiters, startMs: number, signal?: AbortSignal) {
    super();
    this.#queue = queue;
    this.startMs = startMs;
    this.#signal = signal;
    if (signal !== undefined) {
      this.#onAbort = () => {
        this.#queue.remove(this);
        this.reject(signal.reason);
      };
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  /** Hands over `message`, and what `more` gives if more than one is wanted. */
  abstract serve(message: Message, more: () => Message | null): void;
  /** Ends the call with an error. */
  abstract reject(reason: unknown): void;
  /** The call ends without a message. */
  abstract giveUp(): void;

  onDue(): void {
    this.#queue.remove(this);
    this.giveUp();
  }

  /** The call ends: nothing remains of it. */
  release(): void {
    if (this.#onAbort !== undefined) {
      this.#signal?.removeEventListener("abort", this.#onAbort);
    }
  }
}

/** A call that waits for one message. */
export class WaiterForOne extends Waiter {
  resolve!: (message: Message | null) => void;
  reject!: (reason: unknown) => void;

  serve(message: Message): void {
    this.resolve(message);
  }

  giveUp(): void {
    this.resolve(null);
  }
}

/** A call that waits for at least one message and takes what more there is. */
export class WaiterForMany extends Waiter {
  max = 1;
  resolve!: (messages: Message[]) => void;
  reject!: (reason: unknown) => void;

  serve(message: Message, more: () => Message | null): void {
    this.resolve(collect(message, this.max, more));
  }

  giveUp(): void {
    this.resolve([]);
  }
}

/** `first` and what `more` gives, at most `max` in all. */
export function collect(
  first: Message,
  max: number,
  more: () => Message | null,
): Message[] {
  const messages = [first];
  while (messages.length < max) {
    const message = more();
    if (message === null) break;
    messages.push(message);
  }
  return messages;
}

/** The calls that wait. */
export class Waiters {
  readonly #deadlines: Deadlines;
  readonly #waiting = new Set<Waiter>();

  /** @param deadlines Where their time-outs are kept. */
  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Puts a call behind the others. */
  add(waiter: Waiter, timeoutMs: number | undefined): void {
    this.#waiting.add(waiter);
    if (timeoutMs !== undefined) this.#deadlines.add(waiter, timeoutMs);
  }

  /** Takes a call out: it was served or has ended. */
  remove(waiter: Waiter): void {
    this.#waiting.delete(waiter);
    this.#deadlines.remove(waiter);
    waiter.release();
  }

  /** Takes out the call whose turn it is. */
  shift(): Waiter | null {
    for (const waiter of this.#waiting) {
      this.remove(waiter);
      return waiter;
    }
    return null;
  }

  /** Ends all calls, or those that began before a moment. */
  reject(error: MomError, beganBeforeMs: number = Infinity): void {
    for (const waiter of [...this.#waiting]) {
      if (waiter.startMs > beganBeforeMs) continue;
      this.remove(waiter);
      waiter.reject(error);
    }
  }
}
