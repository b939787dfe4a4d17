/**
 * One end of a conversation over any stream of bytes, from its opening to its end:
 * `peer_writer.ts` is the way of messages out, `peer_reader.ts` their way in,
 * `peer_hearing.ts` what of that is a life sign. Here they are answered, and it is
 * decided which errors end the conversation (PROTOCOL 2 and 4).
 *
 * Who reads no answers is cut off by a client, which must go on reading (PROTOCOL 1.3).
 *
 * @module
 */

import type { ByteStream } from "./byte_stream.ts";
import type { CborItem } from "./cbor.ts";
import type { Clock } from "./clock.ts";
import { MomError } from "./errors.ts";
import type { Heartbeating, Heartbeats } from "./heartbeats.ts";
import { LIMITS } from "./limits.ts";
import type { Message } from "./messages.ts";
import { PeerHearing } from "./peer_hearing.ts";
import { PeerReader } from "./peer_reader.ts";
import { PeerWriter } from "./peer_writer.ts";
import { refusalOf } from "./refusal.ts";
import { Unread } from "./unread.ts";

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

/** How long a server reads on after the ERROR that ends a conversation. */
const LINGER_MS = 50;

/** One end of a conversation. */
export class Peer implements Heartbeating {
  /** The optional features that both sides know, as of WELCOME (PROTOCOL 3.8). */
  features: ReadonlySet<string> = new Set();
  readonly #stream: ByteStream;
  readonly #heartbeats: Heartbeats;
  readonly #hearing: PeerHearing;
  readonly #writer: PeerWriter;
  readonly #reader: PeerReader;
  readonly #isServer: boolean;
  #handlers: PeerHandlers | null = null;
  #isOpening: boolean;
  /** The last ERROR is on its way. */
  #isEnding = false;
  #closed = false;
  #reason: MomError | null = null;
  #pings = 0;

  constructor(options: PeerOptions) {
    const { stream, clock, frameBytesMax } = options;
    const isServer = options.isServer ?? false;
    this.#stream = stream;
    this.#heartbeats = options.heartbeats;
    this.#isServer = isServer;
    this.#isOpening = options.isOpening ?? false;
    const hearing = this.#hearing = new PeerHearing(clock);
    const writer = this.#writer = new PeerWriter({
      stream,
      clock,
      hearing,
      unread: options.unread ?? new Unread(),
      onDrained: () => this.#handlers?.onDrained?.(),
      onFailed: (reason) => this.#end(reason),
    });
    this.#reader = new PeerReader({
      stream,
      clock,
      hearing,
      writer,
      frameBytesMax,
      isServer,
      onMessage: (message) => this.#take(message),
      onMisfit: (refusal, request) => this.#misfit(refusal, request),
      onNonsense: (refusal) => this.fail(refusal),
    });
  }

  /** {@inheritDoc Heartbeating.heardMs} */
  get heardMs(): number {
    return this.#hearing.heardMs;
  }

  /** {@inheritDoc Heartbeating.saidMs} */
  get saidMs(): number {
    return this.#writer.saidMs;
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
    return this.#writer.bufferedBytes;
  }

  /** Bytes that the stream has taken, as far as it tells. */
  get takenBytes(): number {
    return this.#writer.takenBytes;
  }

  /** Whether so much waits to be read by the other side that deliveries must wait. */
  get isClogged(): boolean {
    return this.#writer.isClogged;
  }

  /** The limit for frames from now on (PROTOCOL 2.2). */
  set frameBytesMax(bytes: number) {
    this.#reader.frameBytesMax = bytes;
  }

  /**
   * Reads until the end. The handlers may be replaced between messages: the
   * opening of a conversation is one set, its life another.
   */
  async run(handlers: PeerHandlers): Promise<void> {
    this.#handlers = handlers;
    if (!this.#isOpening) this.#heartbeats.add(this);
    await this.#reader.run();
    this.#end(this.#reason);
  }

  /** The opening is over: wrong requests are answered from now on, and silence is noticed. */
  open(): void {
    if (!this.#isOpening || this.#closed) return;
    this.#isOpening = false;
    this.#hearing.hear();
    this.#heartbeats.add(this);
  }

  /** Replaces the handlers from the next message on. */
  handle(handlers: PeerHandlers): void {
    this.#handlers = handlers;
  }

  /** Sends with everything else of this turn. After the end: does nothing. */
  send(message: Message): void {
    this.#writer.write(message);
  }

  /** Hands on what was sent at once, not with everything else of this turn. */
  flush(): void {
    this.#writer.flush();
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
    // Behind an error nothing counts; it is read all the same, see `#endLater`.
    this.#reader.ignore();
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
    return await this.#hearing.hearsAnswer(timeoutMs) && !this.#closed;
  }

  /** Resolves when no more than `bytes` wait to be taken by the stream, or at the end. */
  drained(bytes = 0): Promise<void> {
    return this.#writer.drained(bytes);
  }

  /** Sends what is queued, waiting for at most a second, then ends. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#writer.handedOn();
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
    await this.#writer.handedOn();
    if (this.#isServer && !this.#closed) await this.#hearing.hears(LINGER_MS);
    this.#end(this.#reason);
  }

  #take(message: Message): Promise<void> | null {
    if (message.type !== "PING" && message.type !== "PONG") {
      return this.#handle(message);
    }
    if (this.#isOpening) this.#misfit(tooEarly(message), null);
    else if (message.type === "PING") {
      this.#answer({ type: "PONG", token: message.token });
    }
    return null;
  }

  #handle(message: Message): Promise<void> | null {
    const answer = (error: unknown) => {
      if (!(error instanceof MomError)) this.#handlers?.onDefect?.(error);
      this.refuse(
        refusalOf(error),
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

  /** A frame that is none of the messages that may come now. */
  #misfit(refusal: MomError, request: number | null): void {
    if (!this.#isOpening) return this.refuse(refusal, request);
    if (this.#handlers?.onMisfit?.() !== true) this.fail(refusal, request);
  }

  /** What the other side can have us send as often as it likes is counted. */
  #answer(message: Message): void {
    const writer = this.#writer;
    const before = writer.bufferedBytes;
    this.send(message);
    if (this.#isServer) return;
    writer.answerBytes += writer.bufferedBytes - before;
    if (writer.answerBytes <= LIMITS.unreadAnswerBytes) return;
    this.abort(
      new MomError(
        "bad_message",
        `Connection to ${this.remote} given up: it reads no answers`,
      ),
    );
  }

  #end(reason: MomError | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.end();
    this.#heartbeats.remove(this);
    this.#stream.close();
    this.#writer.end();
    this.#hearing.wake();
    this.#handlers?.onClose(reason);
  }
}

function tooEarly(message: Message): MomError {
  return new MomError(
    "bad_message",
    `Cannot open the conversation: ${message.type} comes too early`,
  );
}
