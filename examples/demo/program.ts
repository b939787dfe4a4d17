/**
 * The broker and the daemons of the demo: processes of their own.
 *
 * @module
 */

/** What a program prints first. */
export interface ReadyLine {
  /** Its process. */
  pid: number;
  /** Where it listens. */
  address: string;
  /** Where its HTTP side listens, if it has one. */
  http?: string;
}

const PERMISSIONS = ["net", "read", "write", "env", "sys"];

/** A running program. */
export class Program {
  /** What it printed first. */
  readonly ready: ReadyLine;
  readonly #child: Deno.ChildProcess;
  readonly #draining: Promise<void>;

  private constructor(
    ready: ReadyLine,
    child: Deno.ChildProcess,
    draining: Promise<void>,
  ) {
    this.ready = ready;
    this.#child = child;
    this.#draining = draining;
  }

  /**
   * Starts `broker/main.ts` or `daemon/main.ts` and waits until it listens.
   *
   * @param path From the root of the sources.
   * @param args Its flags.
   * @param stateFolder Where it looks for what is not named by a flag.
   */
  static async start(
    path: string,
    args: readonly string[],
    stateFolder: string,
  ): Promise<Program> {
    const file = new URL(`../../${path}`, import.meta.url);
    const allowed = PERMISSIONS.map((one) => `--allow-${one}`);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--unstable-kv", ...allowed, file.href, ...args],
      env: { XDG_STATE_HOME: stateFolder },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) {
        const { code } = await child.status;
        throw new Error(`Cannot start ${path}: it ended with ${code}`);
      }
      text += value;
    }
    const ready: ReadyLine = JSON.parse(text.slice(0, text.indexOf("\n")));
    return new Program(ready, child, drain(reader));
  }

  /** Ends it at once, as a power cut would. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Asks it to end. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async #end(signal: Deno.Signal): Promise<void> {
    this.#child.kill(signal);
    await this.#child.status;
    await this.#draining;
  }
}

/** Reads on, so that the program never waits for somebody to read. */
async function drain(
  reader: ReadableStreamDefaultReader<string>,
): Promise<void> {
  while (!(await reader.read()).done);
}
