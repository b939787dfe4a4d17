/**
 * A `Deno.Conn` as a `ByteStream`: what TCP and unix sockets have in common.
 *
 * Reading hands out views of larger chunks. A chunk goes on being filled behind
 * what was handed out while enough of it is left, so that many small reads
 * share one buffer; bytes that were handed out are never written again.
 *
 * @module
 */

import type { ByteStream } from "../protocol/byte_stream.ts";

/** Bytes of a connection's first chunk: it may never say a thing. */
export const CHUNK_BYTES_FIRST = 4 * 1024;
/** Bytes of the next ones. */
export const CHUNK_BYTES_MIN = 64 * 1024;
/** Bytes of a chunk once whole chunks come in at once. */
export const CHUNK_BYTES_MAX = 256 * 1024;
/** A chunk with less than this left is given up for a new one. */
export const CHUNK_REST_BYTES_MIN = 16 * 1024;

/** What a connection is known by. */
export interface ConnStreamOptions {
  /** Who is at the other end, for logs. */
  remote: string;
  /** Whether the other end is on this machine. */
  isLocal: boolean;
}

/** One connection of the operating system. */
export class ConnStream implements ByteStream {
  /** Who is at the other end, for logs. */
  readonly remote: string;
  /** Whether the other end is on this machine. */
  readonly isLocal: boolean;
  readonly #conn: Deno.Conn;
  #chunk: Uint8Array = new Uint8Array(0);
  #filled = 0;
  #chunkBytes = CHUNK_BYTES_FIRST;
  #isClosed = false;
  #isWriting = false;
  #takenBytes = 0;

  /** Takes over `conn`: from then on it is closed by `close()` alone. */
  constructor(conn: Deno.Conn, options: ConnStreamOptions) {
    this.#conn = conn;
    this.remote = options.remote;
    this.isLocal = options.isLocal;
  }

  /** The next bytes, or `null` at the end, of whatever kind. */
  async read(): Promise<Uint8Array | null> {
    if (this.#isClosed) return null;
    const space = this.#space();
    let count: number | null;
    try {
      count = await this.#conn.read(space);
    } catch {
      // A reset, or our own close(): for the reader the stream has ended.
      count = null;
    }
    if (count === null || this.#isClosed) return null;
    // Whoever fills all that was offered is likely to have more: offer more.
    if (count === space.length && this.#chunkBytes < CHUNK_BYTES_MAX) {
      this.#chunkBytes *= 2;
    }
    this.#chunkBytes = Math.max(this.#chunkBytes, CHUNK_BYTES_MIN);
    this.#filled += count;
    return space.subarray(0, count);
  }

  /** Resolves when the operating system has all of `bytes`. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isWriting) {
      throw new Error(
        `Cannot write to "${this.remote}": another write is under way`,
      );
    }
    this.#isWriting = true;
    try {
      let rest = bytes;
      while (rest.length > 0) {
        if (this.#isClosed) throw new Error("closed here");
        const taken = await this.#conn.write(rest);
        this.#takenBytes += taken;
        rest = rest.subarray(taken);
      }
    } catch (cause) {
      const reason = this.#isClosed ? "closed here" : reasonOf(cause);
      throw new Error(`Cannot write to "${this.remote}": ${reason}`, { cause });
    } finally {
      this.#isWriting = false;
    }
  }

  /** Bytes that the operating system has taken. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** Ends both directions at once. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn.close();
  }

  #space(): Uint8Array {
    const rest = this.#chunk.length - this.#filled;
    if (rest < Math.min(CHUNK_REST_BYTES_MIN, this.#chunk.length / 4 || 1)) {
      this.#chunk = new Uint8Array(this.#chunkBytes);
      this.#filled = 0;
    }
    return this.#chunk.subarray(this.#filled);
  }
}

/** What a failure says, for a message of ours. */
export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
