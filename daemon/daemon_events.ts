/**
 * News of a daemon for who cares to listen. Each listener has a bounded list of
 * its own; a slow one loses the oldest and is told how many.
 *
 * @module
 */

import type { ErrorCode } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";

/** Something that happened at a daemon. */
export type DaemonEvent =
  | { type: "link_up"; broker: string }
  | { type: "link_down"; broker: string }
  | {
    /** The broker refused for good what had a receipt of level `daemon`. */
    type: "rejected";
    user: string;
    topic: string;
    count: number;
    code: ErrorCode;
  }
  | {
    /** The broker's store is another than before: restored, or copied. */
    type: "epoch_changed";
    broker: string;
    from: number;
    to: number;
    /** Messages that wait here for their users and that the broker may send again. */
    mayComeTwice: number;
  }
  | {
    /** The broker does not have any more what it had acknowledged. */
    type: "lost";
    user: string;
    topic: string;
    /** How many messages that may be. */
    count: number;
  }
  | { type: "dropped"; count: number };

interface Listener {
  queue: DaemonEvent[];
  dropped: number;
  wake: (() => void) | null;
}

/** The events of one daemon. */
export class DaemonEvents {
  #listeners = new Set<Listener>();
  #isClosed = false;

  /** Tells all listeners. */
  emit(event: DaemonEvent): void {
    for (const listener of this.#listeners) {
      listener.queue.push(event);
      if (listener.queue.length > LIMITS.events) {
        listener.queue.shift();
        listener.dropped++;
      }
      listener.wake?.();
    }
  }

  /** Ends all listeners' iterations. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners) listener.wake?.();
  }

  /** Begins to listen. */
  iterate(): AsyncIterable<DaemonEvent> {
    const listener: Listener = { queue: [], dropped: 0, wake: null };
    this.#listeners.add(listener);
    return { [Symbol.asyncIterator]: () => this.#run(listener) };
  }

  async *#run(listener: Listener): AsyncGenerator<DaemonEvent> {
    try {
      while (true) {
        if (listener.dropped > 0) {
          const count = listener.dropped;
          listener.dropped = 0;
          yield { type: "dropped", count };
        }
        const event = listener.queue.shift();
        if (event !== undefined) yield event;
        else if (this.#isClosed) return;
        else await new Promise<void>((resolve) => listener.wake = resolve);
      }
    } finally {
      this.#listeners.delete(listener);
    }
  }
}
