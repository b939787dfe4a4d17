/**
 * Ctrl+C and its like.
 *
 * @module
 */

/** Ended from outside. */
export class Interrupted extends Error {
  /** What the process is to end with. */
  readonly code: number;

  /** @param code 128 and the number of the signal. */
  constructor(code: number) {
    super("Ended by a signal");
    this.code = code;
  }
}

const CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** A terminal and a task runner may both pass on the same Ctrl+C. */
const SAME_WITHIN_MS = 500;

/** Listens until it is disposed of. */
export class Signals implements Disposable {
  /** Rejects with {@linkcode Interrupted}; never resolves. */
  readonly interrupted: Promise<never>;
  /** Aborted at the first signal, where that alone does not interrupt. */
  readonly closing: AbortSignal;
  readonly #listeners: [Deno.Signal, () => void][] = [];

  /** @param isGentle Whether the first signal only closes. */
  constructor(isGentle: boolean) {
    const closing = new AbortController();
    this.closing = closing.signal;
    let firstMs: number | null = isGentle ? null : -Infinity;
    this.interrupted = new Promise((_, reject) => {
      for (const [signal, code] of signalsHere()) {
        const hear = () => {
          closing.abort();
          firstMs ??= performance.now();
          const isNext = performance.now() - firstMs > SAME_WITHIN_MS;
          if (isNext) reject(new Interrupted(code));
        };
        Deno.addSignalListener(signal, hear);
        this.#listeners.push([signal, hear]);
      }
    });
    // Who does not wait for it is not to hear of it.
    this.interrupted.catch(() => {});
  }

  [Symbol.dispose](): void {
    for (const [signal, hear] of this.#listeners) {
      Deno.removeSignalListener(signal, hear);
    }
  }
}

function signalsHere(): [Deno.Signal, number][] {
  const all = Object.entries(CODES) as [Deno.Signal, number][];
  if (Deno.build.os !== "windows") return all;
  return all.filter(([signal]) => signal === "SIGINT");
}
