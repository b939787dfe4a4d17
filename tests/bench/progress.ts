/**
 * How far a run is: one line that is written over on a terminal; nothing where
 * there is none.
 *
 * @module
 */

const BAR_WIDTH = 20;

/** What is done, of how much, and what is being done. */
export interface ProgressState {
  done: number;
  total: number;
  label: string;
  seconds: number;
}

/** `[#####     ] 12/48 · 31 s · deliver 100 B, mom direct, 2/3`. */
export function progressLine(state: ProgressState): string {
  const { done, total, label, seconds } = state;
  const filled = Math.floor(BAR_WIDTH * done / Math.max(1, total));
  const bar = "#".repeat(filled).padEnd(BAR_WIDTH);
  return `[${bar}] ${done}/${total} · ${Math.round(seconds)} s · ${label}`;
}

/** Writes the line to stderr. */
export class Progress implements Disposable {
  readonly #total: number;
  readonly #isShown: boolean;
  readonly #startMs = performance.now();
  #done = 0;

  constructor(total: number, isShown = Deno.stderr.isTerminal()) {
    this.#total = total;
    this.#isShown = isShown;
  }

  /** The next one begins. */
  begin(label: string): void {
    this.#write(progressLine({
      done: this.#done++,
      total: this.#total,
      label,
      seconds: (performance.now() - this.#startMs) / 1_000,
    }));
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    this.#write("");
  }

  #write(line: string): void {
    if (!this.#isShown) return;
    // Some terminals do not tell.
    const width = Deno.consoleSize().columns || 80;
    // Return to the begin of the line, and clear what stands there.
    const text = `\r\x1b[K${line.slice(0, width - 1)}`;
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}
