/**
 * All that a simulation stands on: a broker, daemons and coordinators, each a
 * process, in a folder that is removed in the end.
 *
 * @module
 */

import { Nest } from "./nest.ts";
import { numbers } from "./numbers.ts";
import { Program } from "./program.ts";

const MACHINES = ["north", "south", "east", "west"];

/** How many of what. */
export interface StageOptions {
  /** Daemons: 2 to 4. */
  machines: number;
  /** Coordinators, and so shards. */
  coordinators: number;
  /** How many coordinators keep each shard. */
  replicas: number;
  /** How long a coordinator may be silent before another takes over. */
  leaseMs: number;
}

/** A program that has ended. */
export interface ProgramEnd {
  /** `broker`, `daemon north`, `coordinator 2`. */
  program: string;
  /** Its exit code. */
  code: number;
}

/** Everything that runs beside the actors. */
export class Stage implements AsyncDisposable {
  /** Where all processes live and all data lies. */
  readonly nest: Nest;
  /** Rejects when a program ends that was not asked to; never resolves. */
  readonly failed: Promise<never>;
  readonly #options: StageOptions;
  readonly #running = new Map<string, Program>();
  readonly #starting = new Set<Promise<unknown>>();
  #fail: (error: Error) => void = () => {};
  #isOver = false;
  #brokerAddress = "";

  private constructor(nest: Nest, options: StageOptions) {
    this.nest = nest;
    this.#options = options;
    this.failed = new Promise((_, reject) => this.#fail = reject);
    // Who does not wait for it is not to hear of it.
    this.failed.catch(() => {});
  }

  /** Starts all of it; after a failure nothing is left. */
  static async start(options: StageOptions): Promise<Stage> {
    const stage = new Stage(await Nest.make(), options);
    try {
      await stage.#startAll();
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Address of the daemon that is `index`'s, going round. */
  daemon(index: number): string {
    return `unix:${this.nest.folder}/${this.#machine(index)}.sock`;
  }

  /** Starts a coordinator, the second time with what it has. */
  async startCoordinator(id: number): Promise<void> {
    const { coordinators, replicas, leaseMs } = this.#options;
    const args = ["--id", `${id}`, "--of", `${coordinators}`];
    args.push("--replicas", `${replicas}`, "--lease-ms", `${leaseMs}`);
    args.push("--daemon", this.daemon(id));
    await this.#start(`coordinator ${id}`, "coordinator/main.ts", args);
  }

  /** SIGKILL: it has no moment to tidy up. */
  async killCoordinator(id: number): Promise<void> {
    const name = `coordinator ${id}`;
    const running = this.#running.get(name);
    this.#running.delete(name);
    await running?.kill();
  }

  /** Ends everything in order, what was started last first. */
  async end(): Promise<ProgramEnd[]> {
    const ends: ProgramEnd[] = [];
    const { coordinators, machines } = this.#options;
    const layers = [
      numbers(coordinators).map((index) => `coordinator ${index + 1}`),
      numbers(machines).map((index) => `daemon ${this.#machine(index)}`),
      ["broker"],
    ];
    for (const layer of layers) {
      ends.push(...await Promise.all(layer.map((name) => this.#stop(name))));
    }
    return ends;
  }

  /** Ends at once what still runs, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.allSettled(this.#starting);
    const running = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(running.map((program) => program.kill()));
    await this.nest[Symbol.asyncDispose]();
  }

  async #startAll(): Promise<void> {
    const args = ["--listen", "127.0.0.1:0", "--http", "off"];
    args.push("--data", `${this.nest.folder}/broker`);
    args.push("--token-file", this.#tokenFile);
    const broker = await this.#start("broker", "broker/main.ts", args);
    this.#brokerAddress = broker.ready.address;
    const { machines, coordinators } = this.#options;
    await all(numbers(machines).map((index) => this.#startDaemon(index)));
    await all(
      numbers(coordinators).map((index) => this.startCoordinator(index + 1)),
    );
  }

  async #startDaemon(index: number): Promise<void> {
    const machine = this.#machine(index);
    const args = ["--broker", this.#brokerAddress, "--machine", machine];
    args.push("--broker-token-file", this.#tokenFile);
    args.push("--data", `${this.nest.folder}/${machine}`);
    args.push("--listen", this.daemon(index));
    await this.#start(`daemon ${machine}`, "daemon/main.ts", args);
  }

  async #start(
    name: string,
    path: string,
    args: readonly string[],
  ): Promise<Program> {
    if (this.#isOver) throw new Error(`Cannot start ${name}: all is over`);
    const starting = Program.start(path, args, this.nest);
    this.#starting.add(starting);
    try {
      const program = await starting;
      this.#running.set(name, program);
      void program.ended.then((code) => {
        if (this.#running.get(name) !== program) return;
        this.#fail(new Error(`${name} ended with ${code}`));
      });
      return program;
    } finally {
      this.#starting.delete(starting);
    }
  }

  async #stop(program: string): Promise<ProgramEnd> {
    const running = this.#running.get(program);
    this.#running.delete(program);
    return { program, code: await running?.stop() ?? -1 };
  }

  get #tokenFile(): string {
    return `${this.nest.folder}/broker.token`;
  }

  #machine(index: number): string {
    return MACHINES[index % this.#options.machines]!;
  }
}

/** Waits for all, also when one fails; then fails as the first did. */
async function all(starts: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(starts)) {
    if (result.status === "rejected") throw result.reason;
  }
}
