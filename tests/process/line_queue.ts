/**
 * Lines of a process, to be read one by one at the reader's own pace.
 *
 * @module
 */

/** More lines than this unread are a defect of the test. */
const LINES_MAX = 100_000;

/** Lines as they came in. */
export class LineQueue {
  #lines: string[] = [];
  #isEnded = false;
  #waiting: ((line: string | null) => void)[] = [];

  /** Takes all lines of a stream of bytes, to its end. */
  async fill(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true }))
        .split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#push(line);
    }
    if (rest !== "") this.#push(rest);
    this.#isEnded = true;
    for (const wake of this.#waiting.splice(0)) wake(null);
  }

  /** The next line, or `null` after the last. */
  next(): Promise<string | null> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#isEnded) return Promise.resolve(null);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #push(line: string): void {
    const wake = this.#waiting.shift();
    if (wake !== undefined) return wake(line);
    if (this.#lines.length >= LINES_MAX) throw new Error("Nobody reads lines");
    this.#lines.push(line);
  }
}
