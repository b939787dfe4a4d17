/**
 * A place for one program after another: same data, same addresses, so that what
 * was killed can be started again as if nothing had been.
 *
 * @module
 */

import { Program, type ProgramOptions, type ReadyLine } from "./program.ts";

/** One program of a system, over all its lives. */
export class Slot implements AsyncDisposable {
  /** For failures. */
  readonly name: string;
  /** How often it was started. */
  lives = 0;
  readonly #options: ProgramOptions;
  #program: Program | null = null;

  /** Starts nothing yet. */
  constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** The program that runs, or ran last. */
  get program(): Program {
    if (this.#program === null) throw new Error(`${this.name} never started`);
    return this.#program;
  }

  /** Starts the program and waits until it listens. */
  async start(): Promise<ReadyLine> {
    return await this.launch().ready();
  }

  /** Starts the program without waiting. */
  launch(): Program {
    if (this.#program !== null && !this.#program.isOver) {
      throw new Error(`${this.name} runs already`);
    }
    this.lives++;
    const name = `${this.name} (life ${this.lives})`;
    this.#program = new Program({ ...this.#options, name });
    return this.#program;
  }

  /** SIGKILL, at whatever the program is at, and waits for its end. */
  async kill(): Promise<void> {
    await this.#program?.kill();
  }

  /** SIGTERM, and waits for the end. */
  async stop(): Promise<Deno.CommandStatus> {
    return await this.program.stop();
  }

  /** SIGKILL and start on the same data; waits until it listens. */
  async restart(): Promise<ReadyLine> {
    await this.kill();
    return await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
  }
}
