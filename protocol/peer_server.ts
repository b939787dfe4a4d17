/**
 * The connections to one server: each is let in, or not, then served until it ends.
 * Who is let in, and what becomes of its messages, is decided by who owns it.
 *
 * @module
 */

import type { ByteListener, ByteStream } from "./byte_stream.ts";
import type { Clock, Entropy } from "./clock.ts";
import { acceptPeer, type WelcomeFields } from "./handshake.ts";
import { Heartbeats } from "./heartbeats.ts";
import { LIMITS } from "./limits.ts";
import type { Hello } from "./messages.ts";
import type { Peer, PeerHandlers } from "./peer.ts";
import { Unread } from "./unread.ts";

/** What the connections to a server stand on. */
export interface PeerServerOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Where clients come from. */
  readonly listener: ByteListener;
  /** What they must have; `null`: everybody is let in. */
  readonly token: string | null;
  /** Silence after which a sign of life is asked for. */
  readonly heartbeatMs: number;
  /** Largest message in bytes. */
  readonly maxMessageBytes: number;
  /**
   * Decides on a client that has proved itself; its answer is what is sent.
   *
   * @throws {MomError} The client gets the error and the connection ends.
   */
  admit(hello: Hello): WelcomeFields | Promise<WelcomeFields>;
  /** Called right after WELCOME was sent, with what follows. */
  handlers(peer: Peer, hello: Hello): PeerHandlers;
  /** Hears of defects of ours that ended a connection. */
  onDefect(error: unknown): void;
}

/** All connections to one server. */
export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #heartbeats: Heartbeats;
  readonly #unread = new Unread();
  /** Not let in yet. */
  readonly #openings = new Set<ByteStream>();
  readonly #tasks = new Set<Promise<void>>();
  #isClosed = false;

  /** Nobody is let in before {@linkcode PeerServer.start}. */
  constructor(options: PeerServerOptions) {
    this.#options = options;
    this.#heartbeats = new Heartbeats(options.clock, options.heartbeatMs);
  }

  /** Begins to let clients in. */
  start(): void {
    this.#watch(this.#accept());
  }

  /** Lets nobody in any more; who is in stays. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#options.listener.close();
    for (const stream of this.#openings) stream.close();
  }

  /** Once closed: resolves when no connection is served and no timer runs. */
  async idle(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    this.#heartbeats.stop();
  }

  /** Owns a task until it is over. */
  #watch(task: Promise<void>): void {
    const owned = task
      .catch((error) => this.#options.onDefect(error))
      .finally(() => this.#tasks.delete(owned));
    this.#tasks.add(owned);
  }

  async #accept(): Promise<void> {
    const { listener } = this.#options;
    while (true) {
      const stream = await listener.accept();
      if (stream === null) return;
      if (this.#openings.size >= LIMITS.unwelcomedConnections) {
        // The oldest: who means it is through within milliseconds (PROTOCOL 3.4).
        const [oldest] = this.#openings;
        this.#openings.delete(oldest);
        oldest.close();
      }
      if (this.#isClosed) stream.close();
      else this.#watch(this.#serve(stream));
    }
  }

  async #serve(stream: ByteStream): Promise<void> {
    const { clock, entropy, token, maxMessageBytes } = this.#options;
    this.#openings.add(stream);
    try {
      const opened = await acceptPeer(stream, {
        clock,
        entropy,
        heartbeats: this.#heartbeats,
        unread: this.#unread,
        token,
        maxMessageBytes,
        admit: (hello) => this.#options.admit(hello),
        handlers: (peer, hello) => this.#options.handlers(peer, hello),
      });
      this.#openings.delete(stream);
      if (this.#isClosed) opened?.peer.abort();
      await opened?.done;
    } finally {
      this.#openings.delete(stream);
      stream.close();
    }
  }
}
