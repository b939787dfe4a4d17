/**
 * The seam between a conversation and what carries its bytes: TCP, a unix
 * socket, or a pair in memory. `Peer` speaks over it, `transport/` provides it.
 *
 * @module
 */

/** A full-duplex stream of bytes. */
export interface ByteStream {
  /** Who is at the other end, for logs: `127.0.0.1:5000`, `unix:/run/mom.sock`. */
  readonly remote: string;
  /** Whether the other end is on this machine (loopback, unix, memory). */
  readonly isLocal: boolean;
  /** Bytes of all writes that were handed on so far, also of one under way; if it is known. */
  readonly takenBytes?: number;
  /**
   * The next bytes, or `null` when the stream has ended, cleanly or not. The
   * array belongs to the caller from then on and is never written again.
   */
  read(): Promise<Uint8Array | null>;
  /** Resolves when all of `bytes` is handed on; rejects when it can't be. At most one at a time. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends both directions at once. A waiting `read` gives `null`, a waiting `write` rejects. May be called twice. */
  close(): void;
}

/** Where connections arrive. */
export interface ByteListener {
  /** Where it listens, as text: `HOST:PORT` or `unix:PATH`. */
  readonly address: string;
  /** The next connection, or `null` once closed. */
  accept(): Promise<ByteStream | null>;
  /** Stops listening; connections that were accepted live on. May be called twice. */
  close(): void;
}

/** Opens connections; what a client is given instead of a network. */
export interface Dialer {
  /**
   * Connects once.
   *
   * @param address `HOST:PORT` or `unix:PATH`.
   * @param options `signal` gives up early.
   */
  dial(
    address: string,
    options?: { signal?: AbortSignal },
  ): Promise<ByteStream>;
}
