/**
 * What a program needs of the process it runs in, as an interface, so that its
 * life from start to end can be tested.
 *
 * @module
 */

import { type Clock, systemClock } from "../protocol/clock.ts";
import { processEnvironment, type ReadEnvironment } from "./environment.ts";

/** The signals that end a program. */
export type EndSignal = "SIGINT" | "SIGTERM";

/** The process that a program runs in. */
export interface Host {
  /** The command line without the program. */
  readonly args: readonly string[];
  /** The process's number. */
  readonly pid: number;
  /** Reads an environment variable. */
  readonly environment: ReadEnvironment;
  /** Time. */
  readonly clock: Clock;
  /** Whether people read the standard output. */
  readonly isOutputTerminal: boolean;
  /** Whether people read the standard error. */
  readonly isErrorTerminal: boolean;
  /** Writes to the standard output. */
  writeOutput(text: string): void;
  /** Writes to the standard error. */
  writeError(text: string): void;
  /** Calls `listener` at each signal. */
  onSignal(listener: (signal: EndSignal) => void): void;
  /** Calls `listener` with what nobody caught. */
  onDefect(listener: (error: unknown) => void): void;
  /**
   * Lets nobody else read the files that are made from now on. `false` when that
   * is not allowed, or the system has no such thing.
   */
  hideFiles(): boolean;
  /** Ends the process. */
  exit(code: number): void;
}

/** The process itself; for `main.ts` files. */
export const processHost: Host = {
  args: Deno.args,
  pid: Deno.pid,
  environment: processEnvironment,
  clock: systemClock,
  get isOutputTerminal() {
    return Deno.stdout.isTerminal();
  },
  get isErrorTerminal() {
    return Deno.stderr.isTerminal();
  },
  writeOutput: (text) => writeAll(Deno.stdout, text),
  writeError: (text) => writeAll(Deno.stderr, text),
  onSignal(listener) {
    Deno.addSignalListener("SIGINT", () => listener("SIGINT"));
    // Windows has no such signal.
    if (Deno.build.os === "windows") return;
    Deno.addSignalListener("SIGTERM", () => listener("SIGTERM"));
  },
  onDefect(listener) {
    globalThis.addEventListener("error", (event) => {
      event.preventDefault();
      listener(event.error);
    });
    globalThis.addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      listener(event.reason);
    });
  },
  hideFiles(): boolean {
    if (Deno.build.os === "windows") return false;
    const { state } = Deno.permissions.querySync({
      name: "sys",
      kind: "umask",
    });
    if (state === "granted") Deno.umask(0o077);
    return state === "granted";
  },
  exit: (code) => Deno.exit(code),
};

function writeAll(
  file: { writeSync(bytes: Uint8Array): number },
  text: string,
): void {
  let rest: Uint8Array = new TextEncoder().encode(text);
  try {
    while (rest.length > 0) rest = rest.subarray(file.writeSync(rest));
  } catch (error) {
    // Nobody reads it any more; that must not end the program.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
