/**
 * Frames on a stream of bytes (PROTOCOL 2): cutting what arrives, and laying
 * what goes out into one buffer. No I/O.
 *
 * ```text
 * 5A  LL LL LL LL  [op, field, field, …]
 *  │   │            content: one CBOR array
 *  │   └ its length, big-endian
 *  └ CBOR head: byte string with a 32-bit length
 * ```
 *
 * @module
 */

import { type CborItem, CborWriter } from "./cbor.ts";
import { MomError } from "./errors.ts";
import { type Message, messageKind } from "./messages.ts";

const FRAME_HEAD = 0x5a;
const HEAD_BYTES = 5;
/** A chunk below this is copied to others of its kind. */
const SMALL_BYTES = 1024;
/** What small chunks are gathered in. */
const GATHERED_BYTES = 64 * 1024;

/**
 * Cuts chunks into the contents of frames. What it gives out are views on the
 * chunks; only a frame that spans chunks is copied, once, when it is complete:
 * announcing a length costs the receiver nothing.
 */
export class FrameReader {
  #limit: number;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #offset = 0;
  /** Pieces of an unfinished frame, the first with its head. */
  #parts: Uint8Array<ArrayBuffer>[] = [];
  /** Whether the last part was made here, with room behind it. */
  #isOwnTail = false;
  #have = 0;
  #need = 0;

  /** @param limit Largest content in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Changes the limit from the next frame on (after WELCOME, PROTOCOL 2.2). */
  set limit(bytes: number) {
    this.#limit = bytes;
  }

  /** Takes the next chunk. Call `next` until it gives `null` before the next one. */
  push(chunk: Uint8Array<ArrayBuffer>): void {
    if (this.#parts.length === 0) {
      this.#buffer = chunk;
      this.#offset = 0;
      return;
    }
    this.#addPart(chunk);
    this.#have += chunk.length;
    if (this.#have >= this.#need) this.#join();
  }

  /**
   * The content of the next complete frame, or `null` when more is needed.
   *
   * @throws {MomError} `bad_frame`: no frame begins here, or it is too long.
   */
  next(): Uint8Array | null {
    if (this.#parts.length > 0) return null;
    const buffer = this.#buffer;
    const at = this.#offset;
    const left = buffer.length - at;
    if (left === 0) return null;
    if (buffer[at] !== FRAME_HEAD) {
      throw new MomError(
        "bad_frame",
        `Cannot read frame: it begins with byte 0x${
          buffer[at].toString(16).padStart(2, "0")
        } instead of 0x5a`,
      );
    }
    if (left < HEAD_BYTES) return this.#keep(HEAD_BYTES);
    const length = buffer[at + 1] * 0x1000000 + (buffer[at + 2] << 16) +
      (buffer[at + 3] << 8) + buffer[at + 4];
    if (length > this.#limit) {
      throw new MomError(
        "bad_frame",
        `Cannot read frame: its length ${length} is above the limit ${this.#limit}`,
      );
    }
    const end = at + HEAD_BYTES + length;
    if (end > buffer.length) return this.#keep(HEAD_BYTES + length);
    this.#offset = end;
    return buffer.subarray(at + HEAD_BYTES, end);
  }

  #keep(need: number): null {
    const rest = this.#buffer.subarray(this.#offset);
    this.#parts.push(rest);
    this.#isOwnTail = false;
    this.#have = rest.length;
    this.#need = need;
    this.#buffer = new Uint8Array(0);
    this.#offset = 0;
    return null;
  }

  /**
   * A frame that comes byte by byte must not become an object for each: what goes
   * on in memory where the last part ends makes that longer, what else is small is
   * gathered in a part of our own.
   */
  #addPart(chunk: Uint8Array<ArrayBuffer>): void {
    const last = this.#parts.length - 1;
    const tail = this.#parts[last];
    const end = tail.byteOffset + tail.length;
    if (tail.buffer === chunk.buffer && end === chunk.byteOffset) {
      const length = tail.length + chunk.length;
      this.#parts[last] = new Uint8Array(chunk.buffer, tail.byteOffset, length);
    } else if (chunk.length >= SMALL_BYTES) {
      this.#parts.push(chunk);
      this.#isOwnTail = false;
    } else if (
      this.#isOwnTail && tail.buffer.byteLength - end >= chunk.length
    ) {
      const whole = new Uint8Array(tail.buffer as ArrayBuffer);
      whole.set(chunk, end);
      this.#parts[last] = whole.subarray(tail.byteOffset, end + chunk.length);
    } else {
      const own = new Uint8Array(GATHERED_BYTES);
      own.set(chunk);
      this.#parts.push(own.subarray(0, chunk.length));
      this.#isOwnTail = true;
    }
  }

  #join(): void {
    const joined = new Uint8Array(this.#have);
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#have = 0;
    this.#buffer = joined;
    this.#offset = 0;
  }
}

/** Lays one message as a frame behind what `writer` holds. */
export function writeFrame(writer: CborWriter, message: Message): void {
  const kind = messageKind(message.type);
  const fields = message as unknown as Record<string, CborItem | undefined>;
  let count = kind.fields.length;
  while (
    count > kind.required && fields[kind.fields[count - 1][0]] === undefined
  ) count--;
  const start = writer.length;
  writer.rawByte(FRAME_HEAD);
  writer.rawUint32(0);
  writer.array(count + 1);
  writer.uint(kind.op);
  for (let i = 0; i < count; i++) {
    writer.item(fields[kind.fields[i][0]] ?? null);
  }
  writer.patchUint32(start + 1, writer.length - start - HEAD_BYTES);
}

/** One message as a frame of its own; for tests and vectors. */
export function encodeFrame(message: Message): Uint8Array<ArrayBuffer> {
  const writer = new CborWriter();
  writeFrame(writer, message);
  return writer.take();
}
