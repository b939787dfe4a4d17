/**
 * The reserve: a file of zeros that is given up when the disk is full, so that
 * deletions and acknowledgements go on.
 *
 * @module
 */

const PIECE_BYTES = 1024 * 1024;

/** A folder's reserve. */
export class Reserve {
  readonly #path: string;
  #isStopped = false;
  #writing: Promise<void> | null = null;

  /** @param folder Where the file lies. */
  constructor(folder: string) {
    this.#path = `${folder}/reserve`;
  }

  /** Its size now; 0 if there is none. */
  get bytes(): number {
    try {
      return Deno.statSync(this.#path).size;
    } catch {
      // Not there, or not to be seen: none.
      return 0;
    }
  }

  /** Whether it is being written. */
  get isBeingMade(): boolean {
    return this.#writing !== null;
  }

  /** Writes it in the background, as far as the disk goes. */
  make(bytes: number): void {
    this.#isStopped = false;
    this.#writing ??= this.#write(bytes).finally(() => this.#writing = null);
  }

  /** Ends the writing; what is there stays. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#writing;
  }

  /**
   * Deletes it.
   *
   * @returns Whether there was one.
   */
  async giveUp(): Promise<boolean> {
    await this.stop();
    try {
      Deno.removeSync(this.#path);
      return true;
    } catch {
      // Nothing there to give up.
      return false;
    }
  }

  async #write(bytes: number): Promise<void> {
    const zeros = new Uint8Array(Math.min(PIECE_BYTES, bytes));
    try {
      using file = await Deno.open(this.#path, {
        write: true,
        create: true,
        truncate: true,
        mode: 0o600,
      });
      let left = bytes;
      while (left > 0 && !this.#isStopped) {
        left -= await file.write(zeros.subarray(0, left));
      }
    } catch {
      // A disk without room for a reserve has none; what is there of it still
      // helps when it is given up.
    }
  }
}
