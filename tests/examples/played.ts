/**
 * A simulation played as a user does it, in a folder where everything that it
 * leaves behind can be seen.
 *
 * @module
 */

import { type Entry, readLog } from "../../examples/simulation/entry.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { within } from "../helpers/eventually.ts";
import { exampleCommand, testEnvironment } from "../process/commands.ts";
import { Program } from "../process/program.ts";

/** Which simulation. */
export type SimulationTask = "museum" | "philosophers";

/** How it ended. */
export interface Played {
  /** Its exit code. */
  code: number;
  /** What it printed. */
  lines: string[];
  /** What it complained of. */
  stderr: string;
  /** Its log, if there is one. */
  log: Entry<{ kind: string }>[];
  /** Files and processes that are still there. */
  leftovers: string[];
}

/** A simulation that runs; disposing ends its process. */
export class Playing implements AsyncDisposable {
  /** Its process. */
  readonly program: Program;
  readonly #folder: TempFolder;

  private constructor(
    folder: TempFolder,
    task: SimulationTask,
    args: string[],
  ) {
    this.#folder = folder;
    this.program = new Program({
      name: task,
      command: exampleCommand(task),
      args: [...args, "--log", `${folder.path}/log`],
      env: { ...testEnvironment(folder.path), TMPDIR: this.#stages },
      endWithinMs: 20_000,
    });
  }

  /** Starts it. */
  static async start(task: SimulationTask, args: string[]): Promise<Playing> {
    const folder = await TempFolder.make();
    await Deno.mkdir(`${folder.path}/t`);
    return new Playing(folder, task, args);
  }

  /** Reads on to a line that fits; rejects if there is none. */
  async line(pattern: RegExp): Promise<string> {
    while (true) {
      const next = this.program.lines.next();
      const line = await within(`${pattern}`, 60_000, next);
      if (line === null) {
        throw new Error(`No ${pattern}: ${this.program.stderr}`);
      }
      if (pattern.test(line)) return line;
    }
  }

  /** Waits for its end. */
  async end(withinMs: number): Promise<Played> {
    const { program } = this;
    const { code } = await within(program.name, withinMs, program.ended);
    const lines: string[] = [];
    for (let line = await program.lines.next(); line !== null;) {
      lines.push(line);
      line = await program.lines.next();
    }
    const text = await Deno.readTextFile(`${this.#folder.path}/log`);
    return {
      code,
      lines,
      stderr: program.stderr,
      log: readLog<{ kind: string }>(text),
      leftovers: await this.leftovers(),
    };
  }

  /** Processes that have to do with it, by what stands on their command lines. */
  async processes(word: string): Promise<number[]> {
    const pids: number[] = [];
    for (const [pid, line] of await commandLines()) {
      if (line.includes(this.#stages) && line.includes(word)) pids.push(pid);
    }
    return pids;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    // A defect is not to leave anything running either.
    for (const pid of await this.processes("")) Deno.kill(pid, "SIGKILL");
    await this.#folder[Symbol.asyncDispose]();
  }

  get #stages(): string {
    return `${this.#folder.path}/t`;
  }

  /** Files and processes that are there. */
  async leftovers(): Promise<string[]> {
    const pids = await this.processes("");
    const found = pids.map((pid) => `process ${pid}`);
    for await (const { name } of Deno.readDir(this.#stages)) found.push(name);
    return found;
  }
}

/**
 * Of all processes. Deno lets nobody look into /proc who may not do everything, and
 * not every machine has `ps`.
 */
async function commandLines(): Promise<[pid: number, line: string][]> {
  const script = `for f in /proc/[0-9]*; do
    printf '%s ' "\${f#/proc/}"; tr '\\0\\n' '  ' < "$f/cmdline"; echo
  done 2>/dev/null`;
  const args = ["-c", script];
  const { stdout } = await new Deno.Command("sh", { args }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  return lines.map((line) => {
    const [, pid, rest] = /^(\d+) (.*)$/.exec(line) ?? ["", "0", ""];
    return [Number(pid), rest];
  });
}
