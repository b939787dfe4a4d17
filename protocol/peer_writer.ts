/**
 * The writing half of a peer: everything sent in one turn of the event loop is laid
 * into one buffer, handed to the stream in one write.
 *
 * While a write is under way the rest gathers in a second buffer, and the two change
 * places. What the other side leaves unread is counted here (PROTOCOL 1.3).
 *
 * @module
 */

import type { ByteStream } from "./byte_stream.ts";
import { CborWriter } from "./cbor.ts";
import type { Clock } from "./clock.ts";
import { MomError } from "./errors.ts";
import { writeFrame } from "./frames.ts";
import { LIMITS } from "./limits.ts";
import type { Message } from "./messages.ts";
import type { PeerHearing } from "./peer_hearing.ts";
import type { Unread } from "./unread.ts";

/** A buffer that grew beyond this is given back after its write. */
const BUFFER_KEPT_BYTES = 1024 * 1024;
/** How long the last bytes may take to leave. */
const CLOSE_MS = 1_000;

/** What writing stands on. */
export interface WriterContext {
  readonly stream: ByteStream;
  readonly clock: Clock;
  /** What all clients of this server have not read. */
  readonly unread: Unread;
  readonly hearing: PeerHearing;
  /** There was too much that the other side had not read; now there is not. */
  onDrained(): void;
  /** The stream takes nothing any more. */
  onFailed(reason: MomError): void;
}

/** Lays messages into buffers, hands those to the stream. */
export class PeerWriter {
  readonly #context: WriterContext;
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #unread: Unread;
  #filling = new CborWriter();
  #spare = new CborWriter();
  #writing: Promise<void> | null = null;
  #writingBytes = 0;
  #takenBytes = 0;
  #flushQueued = false;
  #isEnded = false;
  #drained: (() => void)[] = [];
  /** The other side has too much unread. */
  #isClogged = false;
  /** Nothing is read until it is drained. */
  #isPaused = false;
  /** Bytes of PONGs and ERRORs since the last write began, as the peer counts them. */
  answerBytes = 0;
  /** When something was last said, on the monotonic clock. */
  saidMs: number;

  constructor(context: WriterContext) {
    this.#context = context;
    this.#stream = context.stream;
    this.#clock = context.clock;
    this.#unread = context.unread;
    this.saidMs = context.clock.monotonicMs();
  }

  /** Bytes written that the stream has not taken yet. */
  get bufferedBytes(): number {
    return this.#filling.length + this.#writingBytes;
  }

  /** Bytes that the stream has taken, as far as it tells. */
  get takenBytes(): number {
    return this.#stream.takenBytes ?? this.#takenBytes;
  }

  /** Whether so much waits to be read by the other side that deliveries must wait. */
  get isClogged(): boolean {
    const most = this.#unread.allowed(LIMITS.unreadDeliverBytes);
    if (this.bufferedBytes <= most) return false;
    this.#isClogged = true;
    return true;
  }

  /** Takes a message, to go out with everything else of this turn. After the end: does nothing. */
  write(message: Message): void {
    if (this.#isEnded) return;
    const before = this.#filling.length;
    writeFrame(this.#filling, message);
    this.#unread.bytes += this.#filling.length - before;
    this.#queueFlush();
  }

  /** Hands on what was written at once, unless a write is under way. */
  flush(): void {
    this.#flushQueued = false;
    if (this.#writing !== null || this.#filling.length === 0 || this.#isEnded) {
      return;
    }
    const full = this.#filling;
    this.answerBytes = 0;
    this.saidMs = this.#clock.monotonicMs();
    this.#filling = this.#spare;
    this.#writingBytes = full.length;
    this.#writing = this.#stream.write(full.view()).then(
      () => this.#written(full),
      (error) => this.#failed(error),
    );
  }

  /** Resolves when no more than `bytes` wait to be taken by the stream, or at the end. */
  async drained(bytes: number): Promise<void> {
    while (!this.#isEnded && this.bufferedBytes > bytes) {
      await new Promise<void>((resolve) => this.#drained.push(resolve));
    }
  }

  /** Resolves when the other side has read so much that it may be read on; `null` when it may at once. */
  room(): Promise<void> | null {
    const most = this.#unread.allowed(LIMITS.unreadBytes);
    return this.bufferedBytes > most ? this.#untilRead(most / 2) : null;
  }

  /** Resolves when the stream has what was written, or after a second. */
  async handedOn(): Promise<void> {
    this.flush();
    if (this.bufferedBytes === 0) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.setTimer(CLOSE_MS, resolve);
    await Promise.race([this.drained(0), late]);
    timer.cancel();
  }

  /** The conversation is over: nothing more is written, and nobody waits. */
  end(): void {
    this.#isEnded = true;
    this.#unread.bytes -= this.bufferedBytes;
    for (const wake of this.#drained.splice(0)) wake();
  }

  async #untilRead(bytes: number): Promise<void> {
    this.#isPaused = true;
    await this.drained(bytes);
    this.#isPaused = false;
  }

  #queueFlush(): void {
    if (this.#flushQueued || this.#writing !== null) return;
    this.#flushQueued = true;
    // Two hops: what the continuations of this turn send goes along.
    queueMicrotask(() => queueMicrotask(() => this.flush()));
  }

  #written(buffer: CborWriter): void {
    this.#writing = null;
    this.#takenBytes += this.#writingBytes;
    if (!this.#isEnded) this.#unread.bytes -= this.#writingBytes;
    this.#writingBytes = 0;
    // Who is not read and reads is alive, though it cannot say so.
    if (this.#isPaused) this.#context.hearing.hear();
    const isLarge = buffer.length > BUFFER_KEPT_BYTES;
    buffer.reset();
    this.#spare = isLarge ? new CborWriter() : buffer;
    this.flush();
    if (this.#drained.length > 0) {
      for (const wake of this.#drained.splice(0)) wake();
    }
    if (
      this.#isClogged && !this.#isEnded &&
      this.bufferedBytes <= LIMITS.unreadDeliverBytes / 2
    ) {
      this.#isClogged = false;
      this.#context.onDrained();
    }
  }

  #failed(error: unknown): void {
    this.#context.onFailed(
      new MomError(
        "daemon_unavailable",
        `Cannot write to ${this.#stream.remote}: stream ended`,
        { cause: error },
      ),
    );
  }
}
