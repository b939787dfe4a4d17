/**
 * What was lately written or read, shared by all readers, under one budget.
 * The least lately used goes first.
 *
 * @module
 */

/** Journal values and blobs by their numbers. */
export class ValueCache {
  readonly #bytesMax: number;
  readonly #entries = new Map<string | number, Uint8Array>();
  #bytes = 0;

  /** @param bytesMax The budget. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A value; it counts as used now. */
  get(key: string | number): Uint8Array | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** Keeps a value, as long as there is room. */
  set(key: string | number, value: Uint8Array): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#bytes += value.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.delete(oldest);
    }
  }

  /** Forgets a value. */
  delete(key: string | number): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= value.length;
  }
}
