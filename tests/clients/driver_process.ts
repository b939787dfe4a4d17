/**
 * A client of either language in a process of its own, driven from here.
 *
 * @module
 */

import { within } from "../helpers/eventually.ts";
import { ROOT, testCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import type { Python } from "./python.ts";

/** What a driver is told: an operation and its fields. */
export interface Told {
  readonly id?: number;
  readonly op: string;
  readonly handle?: number;
  readonly [field: string]: unknown;
}

/** A failure that a driver tells. */
export class ToldError extends Error {
  /** The code of a `MomError`, else the name of the error's class. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** The languages that have a client. */
export type Language = "TypeScript" | "Python";

/** No operation of a test takes as long. */
const ANSWER_MS = 40_000;

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly code?: string;
  readonly message?: string;
}

/** One driver process. */
export class DriverProcess implements AsyncDisposable {
  readonly language: Language;
  readonly #program: Program;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #reading: Promise<void>;
  /** Set once it has ended: nothing will answer. */
  #gone: ToldError | null = null;
  #ids = 0;

  /** Starts it. `python`: the interpreter, for the Python client. */
  constructor(
    language: Language,
    python: Python | null,
    env: Record<string, string>,
  ) {
    this.language = language;
    const command = language === "TypeScript"
      ? testCommand("tests/clients/driver.ts")
      : {
        program: python!.path,
        args: ["-B", `${ROOT}tests/clients/driver.py`],
      };
    this.#program = new Program({ name: `${language} driver`, command, env });
    this.#reading = this.#read();
  }

  /** Has it do something; rejects with a {@linkcode ToldError}. */
  async ask(op: string, fields: Record<string, unknown>): Promise<unknown> {
    if (this.#gone !== null) throw this.#gone;
    const id = ++this.#ids;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    // It is waited for below; until then a failure is no stray one.
    waiting.promise.catch(() => {});
    await this.#program.writeLine(JSON.stringify({ id, op, ...fields }));
    const what = `${op} of the ${this.language} client`;
    return await within(what, ANSWER_MS, waiting.promise);
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    await this.#program.kill();
    await this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { lines } = this.#program;
    for (let line = await lines.next(); line !== null;) {
      this.#take(JSON.parse(line));
      line = await lines.next();
    }
    this.#gone = new ToldError(
      "gone",
      `the driver has ended; ${this.#program.stderr}`,
    );
    for (const { reject } of this.#waiting.values()) reject(this.#gone);
    this.#waiting.clear();
  }

  #take({ id, code, message, result }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (code === undefined) waiting?.resolve(result);
    else waiting?.reject(new ToldError(code, message ?? ""));
  }
}
