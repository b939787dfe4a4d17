/**
 * A real process under test: started, listened to, killed and ended by its id.
 *
 * @module
 */

import { within } from "../helpers/eventually.ts";
import { type Command, ROOT } from "./commands.ts";
import { LineQueue } from "./line_queue.ts";

/** The first line of a program that listens. */
export interface ReadyLine {
  event: "listening";
  role: "broker" | "daemon" | "coordinator";
  pid: number;
  address: string;
  http?: string;
  data?: string;
}

/** How a process is started. */
export interface ProgramOptions {
  /** For failures. */
  name: string;
  command: Command;
  args?: readonly string[];
  env: Record<string, string>;
  /** How long `ended` waits after a signal. @default {8_000} */
  endWithinMs?: number;
}

const STDERR_CHARS_KEPT = 8_192;

/** Those that have not ended. */
const living = new Set<Program>();

/**
 * On SIGINT and SIGTERM ends all programs that this process has started, and then
 * this process: for mains that are not to leave anything behind.
 */
export function endWithPrograms(): void {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => {
      for (const program of living) program.signal("SIGKILL");
      Deno.exit(code);
    });
  }
}

/** One process, from its start to its end. */
export class Program implements AsyncDisposable {
  /** For failures. */
  readonly name: string;
  /** What it prints, line by line. */
  readonly lines = new LineQueue();
  /** Resolves with how it ended. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #endWithinMs: number;
  readonly #reading: Promise<unknown>;
  #ready: Promise<ReadyLine> | undefined;
  #ownPid: number | undefined;
  #stderr = "";
  #isOver = false;

  /** Starts it; `ready` tells when it listens. */
  constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#endWithinMs = options.endWithinMs ?? 8_000;
    const { program, args } = options.command;
    this.#child = new Deno.Command(program, {
      args: [...args, ...options.args ?? []],
      cwd: ROOT,
      env: options.env,
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    living.add(this);
    this.#writer = this.#child.stdin.getWriter();
    this.#reading = Promise.all([
      this.lines.fill(this.#child.stdout),
      this.#keepStderr(),
    ]);
    this.ended = this.#child.status.then(async (status) => {
      this.#isOver = true;
      living.delete(this);
      await this.#reading;
      await this.endInput();
      return status;
    });
  }

  /** The id of the process that was started. */
  get pid(): number {
    return this.#child.pid;
  }

  /** The end of what it wrote to stderr. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Whether it has ended. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The ready line; rejects when the process ends before, or takes too long. */
  ready(timeoutMs = 20_000): Promise<ReadyLine> {
    return this.#ready ??= this.#readReady(timeoutMs);
  }

  /** Writes a line to its stdin. A process that is gone is no failure. */
  async writeLine(line: string): Promise<void> {
    try {
      await this.#writer.write(new TextEncoder().encode(`${line}\n`));
    } catch (error) {
      if (!this.#isOver) await this.ended;
      if (!isBrokenPipe(error)) throw error;
    }
  }

  /** Ends its stdin; may be called twice. */
  async endInput(): Promise<void> {
    try {
      await this.#writer.close();
    } catch (error) {
      if (!isBrokenPipe(error)) throw error;
    }
  }

  /** Sends a signal to the program itself, also where another one started it. */
  signal(signal: Deno.Signal): void {
    if (this.#isOver) return;
    for (const pid of new Set([this.#ownPid ?? this.pid, this.pid])) {
      try {
        Deno.kill(pid, signal);
      } catch (error) {
        // It may end at any moment.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await within(`the end of ${this.name}`, this.#endWithinMs, this.ended);
  }

  /** SIGTERM, and waits for the end; rejects when it does not end in time. */
  async stop(): Promise<Deno.CommandStatus> {
    this.signal("SIGTERM");
    const limit = this.#endWithinMs;
    return await within(`the end of ${this.name}`, limit, this.ended);
  }

  /** Ends it, by force if need be. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) this.signal("SIGKILL");
    await this.ended;
  }

  async #readReady(timeoutMs: number): Promise<ReadyLine> {
    const line = await within(
      `the ready line of ${this.name}; stderr: ${this.#stderr}`,
      timeoutMs,
      this.lines.next(),
    );
    if (line === null) {
      const { code } = await this.ended;
      throw new Error(
        `${this.name} ended with ${code} before it was ready: ${this.#stderr}`,
      );
    }
    const ready: ReadyLine = JSON.parse(line);
    this.#ownPid = ready.pid;
    return ready;
  }

  async #keepStderr(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.#stderr += decoder.decode(chunk, { stream: true });
      this.#stderr = this.#stderr.slice(-STDERR_CHARS_KEPT);
    }
  }
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.BadResource || error instanceof TypeError;
}
