/**
 * A `Deno.Listener` as a `ByteListener`: what TCP and unix sockets have in
 * common.
 *
 * @module
 */

import type { ByteListener, ByteStream } from "../protocol/byte_stream.ts";
import { type Clock, systemClock, type Timer } from "../protocol/clock.ts";

/** How long accepting rests after a failure, such as too many open files. */
export const ACCEPT_REST_MS = 100;

/** What a listener is made of. */
export interface ConnListenerOptions<C extends Deno.Conn> {
  /** Where it listens, as text. */
  address: string;
  /** Makes a stream of an accepted connection. */
  wrap(conn: C): ByteStream;
  /** @default {systemClock} */
  clock?: Clock;
}

/** A listening socket of the operating system. */
export class ConnListener<C extends Deno.Conn> implements ByteListener {
  /** Where it listens: `HOST:PORT` or `unix:PATH`. */
  readonly address: string;
  readonly #listener: { accept(): Promise<C>; close(): void };
  readonly #options: ConnListenerOptions<C>;
  readonly #clock: Clock;
  readonly #resting = new Set<() => void>();
  #isClosed = false;

  /** Takes over `listener`. */
  constructor(
    listener: { accept(): Promise<C>; close(): void },
    options: ConnListenerOptions<C>,
  ) {
    this.#listener = listener;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.address = options.address;
  }

  /**
   * The next connection, or `null` once closed. A failure to accept one (it went
   * away again, no file descriptor is free) does not end the listening: it rests
   * a moment and goes on.
   */
  async accept(): Promise<ByteStream | null> {
    while (!this.#isClosed) {
      try {
        return this.#options.wrap(await this.#listener.accept());
      } catch {
        // Our own close(), or a connection that did not come about.
        if (!this.#isClosed) await this.#rest();
      }
    }
    return null;
  }

  /** Stops listening; accepted connections live on. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener.close();
    for (const wake of this.#resting) wake();
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#resting.delete(wake);
        resolve();
      };
      const timer: Timer = this.#clock.setTimer(ACCEPT_REST_MS, wake);
      this.#resting.add(wake);
    });
  }
}
