/**
 * Variable-length numbers, the alphabet of all stored bytes: seven bits a byte,
 * lowest first, the high bit tells that more follow. Numbers up to 2^53 - 1.
 *
 * @module
 */

/** Most bytes that one number takes. */
export const VARINT_BYTES_MAX = 8;

/** How many bytes `value` takes. */
export function varintSize(value: number): number {
  let size = 1;
  while (value >= 128) {
    value = Math.floor(value / 128);
    size++;
  }
  return size;
}

/**
 * Writes `value` at `at`.
 *
 * @returns Where the next byte goes.
 */
export function writeVarint(
  into: Uint8Array,
  at: number,
  value: number,
): number {
  // Above 31 bits the shifts of JavaScript would wrap: divide until they fit.
  while (value > 0x7fff_ffff) {
    into[at++] = (value % 128) | 128;
    value = Math.floor(value / 128);
  }
  while (value >= 128) {
    into[at++] = (value & 127) | 128;
    value >>>= 7;
  }
  into[at++] = value;
  return at;
}

/** Reads numbers and byte strings one after another; never beyond the end. */
export class VarintReader {
  /** The next byte to read. */
  at: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  /** Reads `bytes` from `at` up to `end`. */
  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  /** Whether all is read. */
  get isAtEnd(): boolean {
    return this.at >= this.#end;
  }

  /**
   * The next number.
   *
   * @throws {RangeError} if the bytes end within it or it is beyond 2^53.
   */
  next(): number {
    const bytes = this.#bytes;
    let byte = this.#byte();
    if (byte < 128) return byte;
    let value = byte & 127;
    // The first four bytes fit in 28 bits, where shifts are exact and quick.
    for (let shift = 7; shift < 28; shift += 7) {
      if (this.at >= this.#end) throw cut(this.at);
      byte = bytes[this.at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    for (let scale = 2 ** 28;; scale *= 128) {
      byte = this.#byte();
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER) {
        throw new RangeError(
          `Cannot read number at byte ${this.at}: too large`,
        );
      }
      if (byte < 128) return value;
    }
  }

  /** The next `length` bytes as a view. */
  bytes(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.#end) throw cut(this.at);
    const view = this.#bytes.subarray(this.at, end);
    this.at = end;
    return view;
  }

  /** Leaves `length` bytes out. */
  skip(length: number): void {
    if (this.at + length > this.#end) throw cut(this.at);
    this.at += length;
  }

  #byte(): number {
    if (this.at >= this.#end) throw cut(this.at);
    return this.#bytes[this.at++];
  }
}

function cut(at: number): RangeError {
  return new RangeError(`Cannot read bytes: they end at byte ${at}`);
}
