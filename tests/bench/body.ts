/**
 * What is sent: bytes that begin with the writer and the message's number, so
 * that every reader can check loss and order. Pure.
 *
 * ```text
 * 0        4          8                16
 * | writer | sequence | time (float64) | filler … |
 * ```
 *
 * @module
 */

const HEAD_BYTES = 16;
/**
 * Bodies are cut from blocks of this size: memory of its own for each costs more
 * than to publish it, and would be measured with every client.
 */
const BLOCK_BYTES = 64 * 1024;

/**
 * The size of a byte string that is `encodedBytes` in CBOR, with its head: what is
 * compared is the size of an encoded value, and peers have nothing to encode.
 */
export function contentBytes(encodedBytes: number): number {
  for (const [head, contentMax] of [[1, 23], [2, 255], [3, 65_535]] as const) {
    if (encodedBytes - head <= contentMax) return encodedBytes - head;
  }
  return encodedBytes - 5;
}

/** Makes the bodies of one writer, all of one size. */
export class BodyMaker {
  readonly #bytes: number;
  readonly #writer: number;
  #block = new DataView(new ArrayBuffer(0));
  #used = 0;

  /** @throws {RangeError} If the head does not fit. */
  constructor(bytes: number, writer: number) {
    if (bytes < HEAD_BYTES) {
      throw new RangeError(`Cannot make bodies of ${bytes} B: less than 16`);
    }
    this.#bytes = bytes;
    this.#writer = writer;
  }

  /** A fresh one: some clients keep what they are given until it is written. */
  make(sequence: number, timeMs = 0): Uint8Array<ArrayBuffer> {
    const at = this.#place();
    const block = this.#block;
    block.setUint32(at, this.#writer);
    block.setUint32(at + 4, sequence);
    if (timeMs !== 0) block.setFloat64(at + 8, timeMs);
    return new Uint8Array(block.buffer, at, this.#bytes);
  }

  /** Where the next one lies in the block; what is used is not used again. */
  #place(): number {
    if (this.#used + this.#bytes > this.#block.byteLength) {
      const bytes = Math.max(BLOCK_BYTES, this.#bytes);
      this.#block = new DataView(new ArrayBuffer(bytes));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += this.#bytes;
    return at;
  }
}

/** Who wrote it. */
export function writerOf(body: Uint8Array): number {
  return uint32At(body, 0);
}

/** The how manieth of its writer it is. */
export function sequenceOf(body: Uint8Array): number {
  return uint32At(body, 4);
}

/** When it was to be sent. */
export function timeOf(body: Uint8Array): number {
  return new DataView(body.buffer, body.byteOffset, 16).getFloat64(8);
}

function uint32At(body: Uint8Array, at: number): number {
  return (body[at]! << 24 | body[at + 1]! << 16 | body[at + 2]! << 8 |
    body[at + 3]!) >>> 0;
}
