/**
 * The broker, the daemons and the coordinators of the examples: processes of
 * their own.
 *
 * @module
 */

/** What a program prints first. */
export interface ReadyLine {
  /** Its process. */
  pid: number;
  /** Where it listens; a coordinator: where it is connected to. */
  address: string;
  /** Where its HTTP side listens, if it has one. */
  http?: string;
}

const PERMISSIONS = ["net", "read", "write", "env", "sys"];
const IS_DETACHED = Deno.build.os !== "windows";
const STDERR_CHARS_KEPT = 2_000;

/** How long a program may take to be there, also on a busy machine. */
const START_WITHIN_MS = 60_000;

/** How long a program may take to end in order. */
const END_WITHIN_MS = 15_000;

/** Where processes live. */
export interface Place {
  /** Where they look for what is not named by a flag. */
  readonly folder: string;
  /** Told of each that is started. */
  onSpawn?(child: Deno.ChildProcess): void;
}

/**
 * A process from a file of the sources. A Ctrl+C on the terminal does not reach
 * it: who started it ends it, in the order that is right.
 *
 * @param path From the root of the sources.
 */
export function spawn(
  path: string,
  args: readonly string[],
  place: Place,
): Deno.ChildProcess {
  const file = new URL(`../../${path}`, import.meta.url);
  const allowed = PERMISSIONS.map((one) => `--allow-${one}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--unstable-kv", ...allowed, file.href, ...args],
    env: { XDG_STATE_HOME: place.folder },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    detached: IS_DETACHED,
  }).spawn();
  place.onSpawn?.(child);
  return child;
}

/** Starts `guard.ts`, which may end processes and remove a folder. */
export function spawnGuard(folder: string): Deno.ChildProcess {
  const file = new URL("guard.ts", import.meta.url);
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-run", "--allow-write", file.href, folder],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    detached: IS_DETACHED,
  }).spawn();
}

/** A running program. */
export class Program {
  /** What it printed first. */
  readonly ready: ReadyLine;
  readonly #child: Deno.ChildProcess;
  readonly #draining: Promise<unknown>;

  private constructor(
    ready: ReadyLine,
    child: Deno.ChildProcess,
    draining: Promise<unknown>,
  ) {
    this.ready = ready;
    this.#child = child;
    this.#draining = draining;
  }

  /**
   * Starts `broker/main.ts` or another program and waits until it says that it
   * is there.
   *
   * @param path From the root of the sources.
   * @param args Its flags.
   */
  static async start(
    path: string,
    args: readonly string[],
    place: Place,
  ): Promise<Program> {
    const child = spawn(path, args, place);
    const tooLate = setTimeout(() => send(child, "SIGKILL"), START_WITHIN_MS);
    const complaints = keepLast(child.stderr);
    const reader = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) {
        const { code } = await child.status;
        clearTimeout(tooLate);
        await closeInput(child);
        throw new Error(
          `Cannot start ${path}: it ended with ${code}: ${await complaints}`,
        );
      }
      text += value;
    }
    clearTimeout(tooLate);
    const ready: ReadyLine = JSON.parse(text.slice(0, text.indexOf("\n")));
    return new Program(ready, child, Promise.all([drain(reader), complaints]));
  }

  /** Resolves with its exit code when it has ended. */
  get ended(): Promise<number> {
    return this.#child.status.then(({ code }) => code);
  }

  /** Ends it at once, as a power cut would. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Asks it to end; gives its exit code, or 137 if it had to be forced. */
  async stop(): Promise<number> {
    const force = setTimeout(
      () => send(this.#child, "SIGKILL"),
      END_WITHIN_MS,
    );
    const code = await this.#end("SIGTERM");
    clearTimeout(force);
    return code;
  }

  async #end(signal: Deno.Signal): Promise<number> {
    send(this.#child, signal);
    const { code } = await this.#child.status;
    await this.#draining;
    await closeInput(this.#child);
    return code;
  }
}

/** Sends a signal to a process that may have ended. */
export function send(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    const isOver = error instanceof TypeError ||
      error instanceof Deno.errors.NotFound;
    if (!isOver) throw error;
  }
}

/** Lets go of the input of a process that has ended. */
export async function closeInput(child: Deno.ChildProcess): Promise<void> {
  try {
    await child.stdin.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** The end of what a process writes. */
export async function keepLast(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text = (text + chunk).slice(-STDERR_CHARS_KEPT);
  }
  return text.trim();
}

/** Reads on, so that the program never waits for somebody to read. */
async function drain(
  reader: ReadableStreamDefaultReader<string>,
): Promise<void> {
  while (!(await reader.read()).done);
}
