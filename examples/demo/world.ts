/**
 * A broker and two machines, each with its daemon, in a folder of their own.
 *
 * @module
 */

import { Mom } from "../../mod.ts";
import { Program } from "../simulation/program.ts";
import type { Story } from "./story.ts";

/** The demo's machines. */
export const MACHINES = ["north", "south"] as const;

/** One of them. */
export type Machine = (typeof MACHINES)[number];

/** Everything that runs; disposing ends all of it and removes the folder. */
export class World implements AsyncDisposable {
  readonly #folder: string;
  readonly #story: Story;
  readonly #daemons: Program[] = [];
  readonly #handles: Mom[] = [];
  #broker: Program | null = null;
  #brokerAddress = "127.0.0.1:0";

  private constructor(folder: string, story: Story) {
    this.#folder = folder;
    this.#story = story;
  }

  /** Starts a broker and a daemon for each machine. */
  static async start(story: Story): Promise<World> {
    const folder = await Deno.makeTempDir({ prefix: "mom-demo-" });
    const world = new World(folder, story);
    try {
      await world.startBroker();
      for (const machine of MACHINES) await world.#startDaemon(machine);
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts the broker; the second time on the same data and address. */
  async startBroker(): Promise<void> {
    const args = ["--listen", this.#brokerAddress, "--http", "127.0.0.1:0"];
    args.push("--data", `${this.#folder}/broker`);
    args.push("--token-file", this.#tokenFile);
    const broker = await Program.start("broker/main.ts", args, {
      folder: this.#folder,
    });
    this.#broker = broker;
    this.#brokerAddress = broker.ready.address;
    const { pid, address } = broker.ready;
    this.#story.tell("broker", `listens on ${address}, process ${pid}`);
  }

  /** SIGKILL: the broker has no moment to tidy up. */
  async killBroker(): Promise<void> {
    await this.#running.kill();
    this.#broker = null;
    this.#story.tell("broker", "killed with SIGKILL");
  }

  /** A user at a machine's daemon. */
  async connect(machine: Machine, name: string): Promise<Mom> {
    const mom = await Mom.connect({ daemon: this.#socket(machine), name });
    this.#handles.push(mom);
    return mom;
  }

  /** What the broker answers to `GET /api/v1/status`. */
  async status(): Promise<unknown> {
    const token = (await Deno.readTextFile(this.#tokenFile)).trim();
    const { http } = this.#running.ready;
    const response = await fetch(`http://${http}/api/v1/status`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    if (response.ok) return await response.json();
    throw new Error(`The broker answers ${response.status} to status`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#handles.map((mom) => mom.close()));
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()));
    await this.#broker?.stop();
    await Deno.remove(this.#folder, { recursive: true });
  }

  get #running(): Program {
    if (this.#broker === null) throw new Error("The broker does not run");
    return this.#broker;
  }

  get #tokenFile(): string {
    return `${this.#folder}/broker.token`;
  }

  #socket(machine: Machine): string {
    return `unix:${this.#folder}/${machine}.sock`;
  }

  async #startDaemon(machine: Machine): Promise<void> {
    const args = ["--broker", this.#brokerAddress, "--machine", machine];
    args.push("--broker-token-file", this.#tokenFile);
    args.push("--data", `${this.#folder}/${machine}`);
    args.push("--listen", this.#socket(machine));
    const daemon = await Program.start("daemon/main.ts", args, {
      folder: this.#folder,
    });
    this.#daemons.push(daemon);
    this.#story.tell(machine, `its daemon runs, process ${daemon.ready.pid}`);
  }
}
