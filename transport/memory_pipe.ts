/**
 * One direction of a connection in memory: a queue of bytes with a limit.
 *
 * @module
 */

/** Bytes that wait before a writer waits, when nothing else is said. */
export const PIPE_BUFFER_BYTES_MAX = 256 * 1024;
/** Bytes of one read, when nothing else is said. */
export const PIPE_READ_BYTES_MAX = 64 * 1024;

interface Writer {
  resolve(): void;
  reject(error: Error): void;
}

/** One direction of a connection in memory. */
export class MemoryPipe {
  readonly #bufferBytesMax: number;
  readonly #readBytesMax: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #state: "open" | "ended" | "cut" = "open";
  #isAbandoned = false;
  #isPaused = false;
  #reader: ((bytes: Uint8Array | null) => void) | null = null;
  #writer: Writer | null = null;

  /** @param options The two limits, in bytes. */
  constructor(options: { bufferBytesMax?: number; readBytesMax?: number }) {
    this.#bufferBytesMax = options.bufferBytesMax ?? PIPE_BUFFER_BYTES_MAX;
    this.#readBytesMax = options.readBytesMax ?? PIPE_READ_BYTES_MAX;
  }

  /** Whether more can be written. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether nothing will ever happen to it any more. */
  get isSpent(): boolean {
    if (this.#state === "cut") return true;
    return this.#state === "ended" && this.#bytes === 0 && !this.#isPaused;
  }

  /** The next bytes, or `null` once ended and empty, cut or abandoned. */
  read(): Promise<Uint8Array | null> {
    if (this.#isAbandoned) return Promise.resolve(null);
    if (this.#reader !== null) {
      return Promise.reject(new Error("Cannot read: another read is waiting"));
    }
    return new Promise((resolve) => {
      this.#reader = resolve;
      this.#serve();
    });
  }

  /** Takes a copy of `bytes`; resolves when no more than the limit waits. */
  write(bytes: Uint8Array): Promise<void> {
    if (!this.isOpen) return Promise.reject(new Error("connection closed"));
    if (this.#writer !== null) {
      return Promise.reject(new Error("another write is under way"));
    }
    if (bytes.length > 0) {
      this.#chunks.push(bytes.slice());
      this.#bytes += bytes.length;
    }
    return new Promise((resolve, reject) => {
      this.#writer = { resolve, reject };
      this.#serve();
    });
  }

  /** No more is written; what waits is still read. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#failWriter();
    this.#serve();
  }

  /** Ends at once; what waits is lost. */
  cut(): void {
    this.#state = "cut";
    this.#chunks = [];
    this.#bytes = 0;
    this.#failWriter();
    this.#serve();
  }

  /** Nobody reads any more; the writer learns of it as soon as news get through. */
  abandon(): void {
    this.#isAbandoned = true;
    const reader = this.#reader;
    this.#reader = null;
    reader?.(null);
    if (!this.#isPaused) this.cut();
  }

  /** Holds everything back, the end included. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on after {@linkcode MemoryPipe.pause}. */
  resume(): void {
    this.#isPaused = false;
    if (this.#isAbandoned) this.cut();
    this.#serve();
  }

  #serve(): void {
    if (this.#state !== "cut" && this.#isPaused) {
      this.#releaseWriter();
      return;
    }
    const reader = this.#reader;
    if (reader !== null && (this.#bytes > 0 || !this.isOpen)) {
      this.#reader = null;
      reader(this.#take());
    }
    this.#releaseWriter();
  }

  #take(): Uint8Array | null {
    const first = this.#chunks[0];
    if (first === undefined) return null;
    const taken = first.subarray(0, this.#readBytesMax);
    if (taken.length === first.length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(taken.length);
    this.#bytes -= taken.length;
    return taken;
  }

  #releaseWriter(): void {
    if (this.#bytes > this.#bufferBytesMax) return;
    const writer = this.#writer;
    this.#writer = null;
    writer?.resolve();
  }

  #failWriter(): void {
    const writer = this.#writer;
    this.#writer = null;
    writer?.reject(new Error("connection closed"));
  }
}
