/**
 * A peer's server on a port and in a folder of its own.
 *
 * @module
 */

import { eventually } from "../../helpers/eventually.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";
import { testEnvironment } from "../../process/commands.ts";
import { freePort } from "../../process/free_port.ts";
import { Program } from "../../process/program.ts";
import type { AppSettings } from "../app/protocol.ts";
import { BenchApp } from "../bench_app.ts";
import type { DriverName } from "../connection.ts";
import type { Stage, StageOptions } from "../contestant.ts";
import type { ProcessIds } from "../process_usage.ts";
import { tracing } from "../strace.ts";

const STARTED_WITHIN_MS = 20_000;

/** How a server is started. */
export interface ServerSpec {
  program: string;
  driver: DriverName;
  /** Its arguments; it may write its settings into the folder. */
  prepare(folder: string, port: number): Promise<string[]> | string[];
}

/** One server. */
export class ServerStage implements Stage {
  readonly #folder: TempFolder;
  readonly #server: Program;
  readonly #name: string;
  readonly #settings: Omit<AppSettings, "name">;
  readonly #env: Record<string, string>;
  #pid: number;

  private constructor(
    folder: TempFolder,
    server: Program,
    spec: ServerSpec,
    port: number,
  ) {
    this.#folder = folder;
    this.#server = server;
    this.#pid = server.pid;
    this.#name = spec.program;
    this.#env = testEnvironment(folder.path);
    const where = { address: `127.0.0.1:${port}` };
    this.#settings = { driver: spec.driver, writer: where, reader: where };
  }

  /** Starts it; it accepts connections. */
  static async start(
    spec: ServerSpec,
    path: string,
    { tracePath }: StageOptions = {},
  ): Promise<ServerStage> {
    const folder = await TempFolder.make();
    const port = freePort();
    const plain = {
      program: path,
      args: await spec.prepare(folder.path, port),
    };
    const command = tracePath === undefined ? plain : tracing(tracePath)(plain);
    const env = testEnvironment(folder.path);
    const server = new Program({ name: spec.program, command, env });
    const stage = new ServerStage(folder, server, spec, port);
    try {
      await eventually(`${spec.program} on port ${port}`, async () => {
        if (server.isOver) throw new Error(`${path}: ${server.stderr}`);
        return await accepts(port);
      }, { timeoutMs: STARTED_WITHIN_MS });
      if (tracePath !== undefined) stage.#pid = await childOf(server.pid);
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  get servers(): ProcessIds {
    return { [this.#name]: this.#pid };
  }

  async startApp(name: string): Promise<BenchApp> {
    return await BenchApp.start(name, this.#settings, this.#env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // strace lets what it watches go on when it is killed itself.
    const isTraced = this.#pid !== this.#server.pid;
    if (isTraced && !this.#server.isOver) Deno.kill(this.#pid, "SIGKILL");
    await this.#server[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

async function accepts(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

/** The process that strace started. */
async function childOf(pid: number): Promise<number> {
  const path = `/proc/${pid}/task/${pid}/children`;
  const [child] = (await Deno.readTextFile(path)).trim().split(" ");
  if (!child) throw new Error(`Process ${pid} has no child`);
  return Number(child);
}
