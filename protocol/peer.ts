/**
 * One end of a conversation over any stream of bytes: messages in, messages
 * out, life signs, and the errors that end it or do not (PROTOCOL 2 and 4).
 *
 * Writing: everything sent in one turn of the event loop is laid into one
 * buffer and handed to the stream in one write; while a write is under way the
 * rest gathers in a second buffer, and the two change places.
 *
 * Reading: the next chunk is asked for only when the handler has taken the last
 * one; that is all the flow control that a publisher meets (PROTOCOL 1.2). Who
 * sends and does not read what comes back is not read either, or is cut off
 * (PROTOCOL 1.3).
 *
 * @module
 */

import type { ByteStream } from "./byte_stream.ts";
import { type CborItem, CborWriter, decodeFrameFields } from "./cbor.ts";
import type { Clock } from "./clock.ts";
import { MomError } from "./errors.ts";
import { FrameReader, writeFrame } from "./frames.ts";
import type { Heartbeating, Heartbeats } from "./heartbeats.ts";
import { LIMITS } from "./limits.ts";
import { Unread } from "./unread.ts";
import { boundsOf, type Message, parseMessage, requestOf } from "./messages.ts";

/** What an endpoint does with a conversation. */
export interface PeerHandlers {
  /**
   * Called for each message but PING and PONG. A promise stops reading until it
   * settles. A `MomError` thrown or rejected is answered with ERROR, and the
   * conversation goes on.
   */
  onMessage(message: Message): void | Promise<void>;
  /** Called once at the end; `null` when it ended in good order. */
  onClose(reason: MomError | null): void;
  /** A defect of ours surfaced while a message was handled; the other side got `internal`. */
  onDefect?(error: unknown): void;
  /** There was too much that the other side had not read; now there is not. */
  onDrained?(): void;
  /**
   * Before `open`: a frame that is no message, or none for an opening. Whether that
   * is dealt with; else the conversation ends.
   */
  onMisfit?(): boolean;
}

/** What a peer stands on. */
export interface PeerOptions {
  stream: ByteStream;
  clock: Clock;
  heartbeats: Heartbeats;
  /** Largest frame in bytes. */
  frameBytesMax: number;
  /**
   * Whether it accepted the connection. A server stops reading whom it cannot
   * write to; a client, which must go on reading, cuts it off.
   *
   * @default {false}
   */
  isServer?: boolean;
  /**
   * Whether it begins with an opening: until `open` every refusal ends it, and there
   * are no life signs.
   *
   * @default {false}
   */
  isOpening?: boolean;
  /**
   * What all clients of this server have not read.
   *
   * @default {of this peer alone}
   */
  unread?: Unread;
}

/** A buffer that grew beyond this is given back after its write. */
const BUFFER_KEPT_BYTES = 1024 * 1024;
/** How long `close` waits for the last bytes to leave. */
const CLOSE_MS = 1_000;
/** How long a server reads on after the ERROR that ends a conversation. */
const LINGER_MS = 50;
/** A frame of more bytes than that is one whose refusal costs time. */
const LARGE_FRAME_BYTES = 16 * 1024;
/** How many times as long as large frames took that were refused, a connection rests. */
const REFUSAL_RESTS = 4;
/** Others get their turn after so long with the frames of one. */
const SLICE_MS = 10;
/** The clock is looked at after so many bytes of frames: each costs what it is long, and something more. */
const SLICE_LOOK_BYTES = 16 * 1024;
const SLICE_FRAME_BYTES = 512;
/** How often `ping` waits anew because nothing could be heard meanwhile. */
const PING_WAITS_MAX = 5;

/** One end of a conversation. */
export class Peer implements Heartbeating {
  #stream: ByteStream;
  #clock: Clock;
  #heartbeats: Heartbeats;
  #reader: FrameReader;
  #handlers: PeerHandlers | null = null;
  #filling = new CborWriter();
  #spare = new CborWriter();
  #writing: Promise<void> | null = null;
  #writingBytes = 0;
  #takenBytes = 0;
  #flushQueued = false;
  #closed = false;
  #reason: MomError | null = null;
  #heard: (() => void)[] = [];
  #drained: (() => void)[] = [];
  #pings = 0;
  readonly #isServer: boolean;
  /** The last ERROR is on its way. */
  #isEnding = false;
  #isOpening: boolean;
  readonly #unread: Unread;
  /** Bytes of PONGs and ERRORs that were not all taken by the stream. */
  #answerBytes = 0;
  /** Time spent on large frames that were refused. */
  #refusedMs = 0;
  /** The other side has too much unread. */
  #isClogged = false;
  /** Nothing is read until it is drained. */
  #isPaused = false;
  #heardMs: number;
  /** A handler has not taken the last chunk: nothing is read. */
  #isDeaf = false;
  /** When something was last said, on the monotonic clock. */
  saidMs: number;

  constructor(options: PeerOptions) {
    this.#stream = options.stream;
    this.#clock = options.clock;
    this.#heartbeats = options.heartbeats;
    this.#reader = new FrameReader(options.frameBytesMax);
    this.#isServer = options.isServer ?? false;
    this.#isOpening = options.isOpening ?? false;
    this.#unread = options.unread ?? new Unread();
    this.#heardMs = this.saidMs = options.clock.monotonicMs();
  }

  /** When something was last heard, on the monotonic clock; now, while nothing is read. */
  get heardMs(): number {
    return this.#isDeaf ? this.#clock.monotonicMs() : this.#heardMs;
  }

  /** Who is at the other end, for logs. */
  get remote(): string {
    return this.#stream.remote;
  }

  /** Whether the other end is on this machine. */
  get isLocal(): boolean {
    return this.#stream.isLocal;
  }

  /** Whether the conversation is over. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Bytes sent that the stream has not taken yet. */
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

  /** The limit for frames from now on (PROTOCOL 2.2). */
  set frameBytesMax(bytes: number) {
    this.#reader.limit = bytes;
  }

  /**
   * Reads until the end. The handlers may be replaced between messages: the
   * opening of a conversation is one set, its life another.
   */
  async run(handlers: PeerHandlers): Promise<void> {
    this.#handlers = handlers;
    if (!this.#isOpening) this.#heartbeats.add(this);
    while (!this.#closed) {
      const chunk = await this.#stream.read();
      if (chunk === null) break;
      // Behind an error nothing counts; it is read all the same, see `#endLater`.
      if (this.#isEnding) continue;
      this.#hear();
      const pending = this.#take(chunk as Uint8Array<ArrayBuffer>);
      if (pending !== null) await this.#restFor(pending);
    }
    this.#end(this.#reason);
  }

  /** The opening is over: wrong requests are answered from now on, and silence is noticed. */
  open(): void {
    if (!this.#isOpening || this.#closed) return;
    this.#isOpening = false;
    this.#hear();
    this.#heartbeats.add(this);
  }

  /** Replaces the handlers from the next message on. */
  handle(handlers: PeerHandlers): void {
    this.#handlers = handlers;
  }

  /** Sends with everything else of this turn. After the end: does nothing. */
  send(message: Message): void {
    if (this.#closed) return;
    const before = this.#filling.length;
    writeFrame(this.#filling, message);
    this.#unread.bytes += this.#filling.length - before;
    this.#queueFlush();
  }

  /** Hands on what was sent at once, not with everything else of this turn. */
  flush(): void {
    this.#flush();
  }

  /** Answers with ERROR; the conversation goes on. */
  refuse(
    error: MomError,
    request: number | null,
    details: Map<string, CborItem> | null = null,
  ): void {
    this.#answer({
      type: "ERROR",
      request,
      code: error.code,
      message: error.message.slice(0, LIMITS.textLength),
      details,
    });
  }

  /** Answers with ERROR and ends the conversation. */
  fail(error: MomError, request: number | null = null): void {
    if (this.#closed || this.#isEnding) return;
    this.#isEnding = true;
    this.#reason ??= error;
    this.refuse(error, request);
    void this.#endLater();
  }

  /**
   * Resolves to whether anything is heard within `timeoutMs` after a PING. Time in
   * which nothing was read here does not count.
   */
  async ping(timeoutMs: number): Promise<boolean> {
    if (this.#closed) return false;
    this.sendPing();
    for (let waits = 0; waits < PING_WAITS_MAX; waits++) {
      const dueMs = this.#clock.monotonicMs() + timeoutMs;
      if (await this.#hears(timeoutMs)) return !this.#closed;
      const lateMs = this.#clock.monotonicMs() - dueMs;
      if (!this.#isDeaf && lateMs < timeoutMs / 2) return false;
    }
    return false;
  }

  /** Resolves when no more than `bytes` wait to be taken by the stream, or at the end. */
  async drained(bytes = 0): Promise<void> {
    while (!this.#closed && this.bufferedBytes > bytes) {
      await new Promise<void>((resolve) => this.#drained.push(resolve));
    }
  }

  /** Sends what is queued, waiting for at most a second, then ends. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#handedOn();
    this.#end(this.#reason);
  }

  /** Ends at once; nothing more is read or written. */
  abort(reason: MomError | null = null): void {
    this.#end(this.#reason ?? reason);
  }

  /** {@inheritDoc Heartbeating.sendPing} */
  sendPing(): void {
    this.send({ type: "PING", token: ++this.#pings });
  }

  /** {@inheritDoc Heartbeating.onSilent} */
  onSilent(silentMs: number): void {
    this.#end(
      new MomError(
        "daemon_unavailable",
        `Connection to ${this.remote} given up: silent for ${
          Math.round(silentMs)
        } ms`,
      ),
    );
  }

  /**
   * A socket that is closed with something unread takes back what it has sent: the
   * other side would never see the ERROR. So it is read on for a moment.
   */
  async #endLater(): Promise<void> {
    await this.#handedOn();
    if (this.#isServer && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = this.#clock.setTimer(LINGER_MS, resolve);
      this.#heard.push(resolve);
      await promise;
      timer.cancel();
    }
    this.#end(this.#reason);
  }

  /** Resolves when the stream has what is queued, or after a second. */
  async #handedOn(): Promise<void> {
    this.#flush();
    if (this.bufferedBytes === 0) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.setTimer(CLOSE_MS, resolve);
    await Promise.race([this.drained(), late]);
    timer.cancel();
  }

  /** Whether anything is heard, or the end comes, within a time. */
  #hears(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const heard = () => {
        timer.cancel();
        resolve(true);
      };
      const timer = this.#clock.setTimer(timeoutMs, () => {
        this.#heard.splice(this.#heard.indexOf(heard), 1);
        resolve(false);
      });
      this.#heard.push(heard);
    });
  }

  /** Reads nothing until `pending` settles: silence meanwhile is our own. */
  async #restFor(pending: Promise<void>): Promise<void> {
    this.#isDeaf = true;
    await pending;
    this.#isDeaf = false;
    this.#heardMs = this.#clock.monotonicMs();
  }

  #hear(): void {
    this.#heardMs = this.#clock.monotonicMs();
    if (this.#heard.length === 0) return;
    for (const heard of this.#heard.splice(0)) heard();
  }

  /** Handles a chunk; gives a promise only when a handler did. */
  #take(chunk: Uint8Array<ArrayBuffer>): Promise<void> | null {
    this.#reader.push(chunk);
    return this.#takeFrames();
  }

  #takeFrames(): Promise<void> | null {
    const beganMs = this.#clock.monotonicMs();
    let sinceLook = 0;
    while (!this.#closed && !this.#isEnding) {
      let content: Uint8Array | null;
      try {
        content = this.#reader.next();
      } catch (error) {
        this.fail(asMomError(error));
        return null;
      }
      if (content === null) return null;
      let pending = this.#takeFrame(content) ?? this.#restForOther();
      sinceLook += content.length + SLICE_FRAME_BYTES;
      if (pending === null && sinceLook >= SLICE_LOOK_BYTES) {
        sinceLook = 0;
        pending = this.#restAfterSlice(beganMs);
      }
      if (pending !== null) {
        return pending.then(() => this.#takeFrames() ?? undefined);
      }
    }
    return null;
  }

  /** A pause before the next frame, if the other side has earned one. */
  #restForOther(): Promise<void> | null {
    if (this.#isServer) {
      const most = this.#unread.allowed(LIMITS.unreadBytes);
      if (this.bufferedBytes > most) return this.#untilRead(most / 2);
    }
    if (this.#refusedMs === 0) return null;
    const restMs = Math.ceil(this.#refusedMs * REFUSAL_RESTS);
    this.#refusedMs = 0;
    return this.#pause(restMs);
  }

  /** A pause for the others, if the frames of this one have had their time. */
  #restAfterSlice(beganMs: number): Promise<void> | null {
    const isDue = this.#clock.monotonicMs() - beganMs >= SLICE_MS;
    return isDue ? this.#pause(0) : null;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimer(ms, resolve));
  }

  async #untilRead(bytes: number): Promise<void> {
    this.#isPaused = true;
    await this.drained(bytes);
    this.#isPaused = false;
  }

  #takeFrame(content: Uint8Array): Promise<void> | null {
    const isLarge = content.length > LARGE_FRAME_BYTES;
    const beganMs = isLarge ? this.#clock.monotonicMs() : 0;
    let fields: unknown;
    try {
      fields = decodeFrameFields(content, boundsOf(content));
    } catch (error) {
      this.fail(new MomError("bad_frame", asMomError(error).message));
      return null;
    }
    let message: Message;
    try {
      message = parseMessage(fields);
    } catch (error) {
      const refusal = asMomError(error);
      if (refusal.code === "bad_frame") this.fail(refusal);
      else this.#misfit(refusal, requestOf(fields));
      if (isLarge) this.#refusedMs += this.#clock.monotonicMs() - beganMs;
      return null;
    }
    if (message.type === "PING" || message.type === "PONG") {
      if (this.#isOpening) this.#misfit(tooEarly(message), null);
      else if (message.type === "PING") {
        this.#answer({ type: "PONG", token: message.token });
      }
      return null;
    }
    return this.#handle(message);
  }

  /** A frame that is none of the messages that may come now. */
  #misfit(refusal: MomError, request: number | null): void {
    if (!this.#isOpening) return this.refuse(refusal, request);
    if (this.#handlers?.onMisfit?.() !== true) this.fail(refusal, request);
  }

  /** What the other side can have us send as often as it likes is counted. */
  #answer(message: Message): void {
    const before = this.#filling.length;
    this.send(message);
    if (this.#isServer) return;
    this.#answerBytes += Math.max(0, this.#filling.length - before);
    if (this.#answerBytes <= LIMITS.unreadAnswerBytes) return;
    this.abort(
      new MomError(
        "bad_message",
        `Connection to ${this.remote} given up: it reads no answers`,
      ),
    );
  }

  #handle(message: Message): Promise<void> | null {
    const answer = (error: unknown) => {
      if (!(error instanceof MomError)) this.#handlers?.onDefect?.(error);
      this.refuse(
        asMomError(error),
        "request" in message ? message.request : null,
      );
    };
    try {
      const pending = this.#handlers?.onMessage(message);
      return pending instanceof Promise ? pending.catch(answer) : null;
    } catch (error) {
      answer(error);
      return null;
    }
  }

  #queueFlush(): void {
    if (this.#flushQueued || this.#writing !== null) return;
    this.#flushQueued = true;
    // Two hops: what the continuations of this turn send goes along.
    queueMicrotask(() => queueMicrotask(() => this.#flush()));
  }

  #flush(): void {
    this.#flushQueued = false;
    if (this.#writing !== null || this.#filling.length === 0 || this.#closed) {
      return;
    }
    const full = this.#filling;
    this.#answerBytes = 0;
    this.saidMs = this.#clock.monotonicMs();
    this.#filling = this.#spare;
    this.#writingBytes = full.length;
    this.#writing = this.#stream.write(full.view()).then(
      () => this.#written(full),
      (error) =>
        this.#end(
          new MomError(
            "daemon_unavailable",
            `Cannot write to ${this.remote}: stream ended`,
            {
              cause: error,
            },
          ),
        ),
    );
  }

  #written(buffer: CborWriter): void {
    this.#writing = null;
    this.#takenBytes += this.#writingBytes;
    if (!this.#closed) this.#unread.bytes -= this.#writingBytes;
    this.#writingBytes = 0;
    // Who is not read and reads is alive, though it cannot say so.
    if (this.#isPaused) this.#hear();
    const isLarge = buffer.length > BUFFER_KEPT_BYTES;
    buffer.reset();
    this.#spare = isLarge ? new CborWriter() : buffer;
    this.#flush();
    if (this.#drained.length > 0) {
      for (const wake of this.#drained.splice(0)) wake();
    }
    if (
      this.#isClogged && !this.#closed &&
      this.bufferedBytes <= LIMITS.unreadDeliverBytes / 2
    ) {
      this.#isClogged = false;
      this.#handlers?.onDrained?.();
    }
  }

  #end(reason: MomError | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unread.bytes -= this.bufferedBytes;
    this.#heartbeats.remove(this);
    this.#stream.close();
    for (const wake of this.#drained.splice(0)) wake();
    for (const heard of this.#heard.splice(0)) heard();
    this.#handlers?.onClose(reason);
  }
}

function tooEarly(message: Message): MomError {
  return new MomError(
    "bad_message",
    `Cannot open the conversation: ${message.type} comes too early`,
  );
}

function asMomError(error: unknown): MomError {
  if (error instanceof MomError) return error;
  // A defect of ours: the other side hears that it is one, and it is not hidden here.
  return new MomError("internal", "Cannot handle message: internal error", {
    cause: error,
  });
}
