/**
 * An app of the bench, as the bench sees it.
 *
 * @module
 */

import { within } from "../helpers/eventually.ts";
import { type Command, ROOT, testCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import type { AppAnswer, AppCommand, AppSettings } from "./app/protocol.ts";

const STARTED_WITHIN_MS = 60_000;
const ANSWERED_WITHIN_MS = 600_000;

/** One process; disposing ends it. */
export class BenchApp implements AsyncDisposable {
  readonly name: string;
  readonly #program: Program;

  private constructor(name: string, program: Program) {
    this.name = name;
    this.#program = program;
  }

  /** Starts one and waits until it obeys. */
  static async start(
    name: string,
    where: Omit<AppSettings, "name">,
    env: Record<string, string>,
  ): Promise<BenchApp> {
    const settings: AppSettings = { ...where, name };
    const command = appCommand(settings.driver === "mom");
    const args = [JSON.stringify(settings)];
    const program = new Program({ name, command, args, env });
    const app = new BenchApp(name, program);
    try {
      await app.#answer(STARTED_WITHIN_MS);
    } catch (error) {
      await app[Symbol.asyncDispose]();
      throw error;
    }
    return app;
  }

  /** The process. */
  get pid(): number {
    return this.#program.pid;
  }

  /** Has it do something; the type is what the command answers with. */
  async call<T>(command: AppCommand): Promise<T> {
    await this.#program.writeLine(JSON.stringify(command));
    return await this.#answer(ANSWERED_WITHIN_MS) as T;
  }

  /** Closes its connections, then ends it. */
  async close(): Promise<void> {
    await this.call({ do: "close" });
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }

  async #answer(timeoutMs: number): Promise<unknown> {
    const { name } = this;
    const next = this.#program.lines.next();
    const line = await within(`an answer of ${name}`, timeoutMs, next);
    if (line === null) {
      const { code } = await this.#program.ended;
      throw new Error(`${name} ended with ${code}: ${this.#program.stderr}`);
    }
    const answer: AppAnswer = JSON.parse(line);
    if ("error" in answer) throw new Error(`${name}: ${answer.error}`);
    return answer.ok;
  }
}

/** Peers' packages have a lock file of their own. */
function appCommand(isOurs: boolean): Command {
  const { program, args } = testCommand("tests/bench/app/main.ts");
  if (isOurs) return { program, args };
  const lock = [`--lock=${ROOT}deps/bench/deno.lock`, "--frozen"];
  return { program, args: [args[0]!, ...lock, ...args.slice(1)] };
}

/** An app that connects to nothing. */
export async function startPlainApp(name: string): Promise<BenchApp> {
  const nowhere = { address: "127.0.0.1:0" };
  const settings: Omit<AppSettings, "name"> = {
    driver: "mom",
    writer: nowhere,
    reader: nowhere,
  };
  return await BenchApp.start(name, settings, Deno.env.toObject());
}
