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
    const body = new Uint8Array(this.#bytes);
    const view = new DataView(body.buffer);
    view.setUint32(0, this.#writer);
    view.setUint32(4, sequence);
    if (timeMs !== 0) view.setFloat64(8, timeMs);
    return body;
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
