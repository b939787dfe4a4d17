/**
 * What a handle tells about itself: a sequence for each who asks, bounded, so
 * that nobody who stops reading fills the memory.
 *
 * @module
 */

import { LIMITS } from "../../protocol/limits.ts";

/** News of a handle. */
export interface MomEvent {
  /**
   * `connecting`: an attempt begins. `up`: the handle is connected. `down`: the
   * connection is lost or an attempt failed. `rejected`: publishes that had been
   * acknowledged by the daemon were refused by the broker for good. `replaced`:
   * the store of the daemon or the broker is another one than before, restored,
   * copied or new; the handle goes on with it. `lost`: publishes that had been
   * acknowledged are not in it.
   */
  readonly type:
    | "connecting"
    | "up"
    | "down"
    | "rejected"
    | "replaced"
    | "lost";
  /** Why; for `down`, `rejected`, `replaced` and `lost`. */
  readonly reason?: string;
  /** When the next attempt begins, in milliseconds; for `down`. */
  readonly retryInMs?: number;
  /** Where to; for `lost`. */
  readonly topic?: string;
  /** How many messages that may be; for `lost`. */
  readonly count?: number;
  /** How many events before this one were dropped because nobody read them. */
  readonly dropped?: number;
}

/** Hands events on to everybody who listens. */
export class EventSource {
  readonly #listeners = new Set<Listener>();
  #isEnded = false;

  /** Tells an event to all. */
  emit(event: MomEvent): void {
    for (const listener of this.#listeners) listener.push(event);
  }

  /** A new sequence, of what is told from now on. It ends with the handle. */
  listen(): AsyncIterableIterator<MomEvent> {
    const listener = new Listener(() => this.#listeners.delete(listener));
    if (this.#isEnded) listener.end();
    else this.#listeners.add(listener);
    return listener;
  }

  /** Ends all sequences, behind what they still hold. */
  end(): void {
    this.#isEnded = true;
    for (const listener of [...this.#listeners]) listener.end();
  }
}

class Listener implements AsyncIterableIterator<MomEvent> {
  readonly #onReturn: () => void;
  readonly #events: MomEvent[] = [];
  readonly #waiting: ((result: IteratorResult<MomEvent>) => void)[] = [];
  #dropped = 0;
  #isEnded = false;

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(event: MomEvent): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting({ done: false, value: event });
      return;
    }
    this.#events.push(event);
    if (this.#events.length > LIMITS.events) {
      this.#events.shift();
      this.#dropped++;
    }
  }

  end(): void {
    this.#isEnded = true;
    this.#onReturn();
    for (const waiting of this.#waiting.splice(0)) {
      waiting({ done: true, value: undefined });
    }
  }

  next(): Promise<IteratorResult<MomEvent>> {
    const event = this.#events.shift();
    if (event !== undefined) {
      return Promise.resolve({ done: false, value: this.#counted(event) });
    }
    if (this.#isEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<MomEvent>> {
    this.#events.length = 0;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<MomEvent> {
    return this;
  }

  #counted(event: MomEvent): MomEvent {
    if (this.#dropped === 0) return event;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return { ...event, dropped };
  }
}
