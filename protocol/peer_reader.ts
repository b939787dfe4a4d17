/**
 * The reading half of a peer: the bytes of a stream become messages.
 *
 * The next chunk is asked for only when the handler has taken the last one; that is
 * all the flow control that a publisher meets (PROTOCOL 1.2). Who sends and does not
 * read what comes back is not read by a server either (PROTOCOL 1.3).
 *
 * @module
 */

import type { ByteStream } from "./byte_stream.ts";
import { decodeFrameFields } from "./cbor.ts";
import type { Clock } from "./clock.ts";
import { MomError } from "./errors.ts";
import { FrameReader } from "./frames.ts";
import { boundsOf, type Message, parseMessage, requestOf } from "./messages.ts";
import type { PeerHearing } from "./peer_hearing.ts";
import type { PeerWriter } from "./peer_writer.ts";
import { refusalOf } from "./refusal.ts";

/** A frame of more bytes than that is one whose refusal costs time. */
const LARGE_FRAME_BYTES = 16 * 1024;
/** How many times as long as large frames took that were refused, a connection rests. */
const REFUSAL_RESTS = 4;
/** Others get their turn after so long with the frames of one. */
const SLICE_MS = 10;
/** The clock is looked at after so many bytes of frames: each costs what it is long, and something more. */
const SLICE_LOOK_BYTES = 16 * 1024;
const SLICE_FRAME_BYTES = 512;

/** What reading stands on. */
export interface ReaderContext {
  readonly stream: ByteStream;
  readonly clock: Clock;
  readonly hearing: PeerHearing;
  readonly writer: PeerWriter;
  /** Largest frame in bytes. */
  readonly frameBytesMax: number;
  /** Whether it accepted the connection: who does not read is not read. */
  readonly isServer: boolean;
  /** A promise stops reading until it settles. */
  onMessage(message: Message): Promise<void> | null;
  /** A frame that is no message. */
  onMisfit(refusal: MomError, request: number | null): void;
  /** Bytes that make no sense: what follows them makes none either. */
  onNonsense(refusal: MomError): void;
}

/** Reads messages from a stream. */
export class PeerReader {
  readonly #context: ReaderContext;
  readonly #clock: Clock;
  readonly #frames: FrameReader;
  #isIgnoring = false;
  #isEnded = false;
  /** Time spent on large frames that were refused. */
  #refusedMs = 0;

  constructor(context: ReaderContext) {
    this.#context = context;
    this.#clock = context.clock;
    this.#frames = new FrameReader(context.frameBytesMax);
  }

  /** The limit for frames from now on (PROTOCOL 2.2). */
  set frameBytesMax(bytes: number) {
    this.#frames.limit = bytes;
  }

  /** Reads until the end, of the stream or of the conversation. */
  async run(): Promise<void> {
    const { stream, hearing } = this.#context;
    while (!this.#isEnded) {
      const chunk = await stream.read();
      if (chunk === null) return;
      if (this.#isIgnoring) continue;
      hearing.hear();
      const pending = this.#take(chunk as Uint8Array<ArrayBuffer>);
      if (pending !== null) await hearing.restFor(pending);
    }
  }

  /** What comes from now on is read all the same, and counts for nothing. */
  ignore(): void {
    this.#isIgnoring = true;
  }

  /** The conversation is over: nothing more is read. */
  end(): void {
    this.#isEnded = true;
  }

  /** Handles a chunk; gives a promise only when a handler did, or a rest is due. */
  #take(chunk: Uint8Array<ArrayBuffer>): Promise<void> | null {
    this.#frames.push(chunk);
    return this.#takeFrames();
  }

  #takeFrames(): Promise<void> | null {
    const beganMs = this.#clock.monotonicMs();
    let sinceLook = 0;
    while (!this.#isEnded && !this.#isIgnoring) {
      let content: Uint8Array | null;
      try {
        content = this.#frames.next();
      } catch (error) {
        this.#context.onNonsense(refusalOf(error));
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

  #takeFrame(content: Uint8Array): Promise<void> | null {
    const isLarge = content.length > LARGE_FRAME_BYTES;
    const beganMs = isLarge ? this.#clock.monotonicMs() : 0;
    let fields: unknown;
    try {
      fields = decodeFrameFields(content, boundsOf(content));
    } catch (error) {
      const { message } = refusalOf(error);
      this.#context.onNonsense(new MomError("bad_frame", message));
      return null;
    }
    let message: Message;
    try {
      message = parseMessage(fields);
    } catch (error) {
      this.#refuse(refusalOf(error), fields);
      if (isLarge) this.#refusedMs += this.#clock.monotonicMs() - beganMs;
      return null;
    }
    return this.#context.onMessage(message);
  }

  #refuse(refusal: MomError, fields: unknown): void {
    if (refusal.code === "bad_frame") this.#context.onNonsense(refusal);
    else this.#context.onMisfit(refusal, requestOf(fields));
  }

  /** A pause before the next frame, if the other side has earned one. */
  #restForOther(): Promise<void> | null {
    if (this.#context.isServer) {
      const room = this.#context.writer.room();
      if (room !== null) return room;
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
}
