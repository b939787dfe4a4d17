/**
 * A broker and some daemons as real processes in a folder of their own.
 *
 * @module
 */

import type { StatusReport } from "../../program/status.ts";
import { tokenPath } from "../../program/tokens.ts";
import { eventually } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import {
  type Command,
  taskCommand,
  testCommand,
  testEnvironment,
} from "./commands.ts";
import { freePort } from "./free_port.ts";
import { Slot } from "./slot.ts";
import { StatusReader } from "./status_reader.ts";

/** Options of {@linkcode Cluster.start}. */
export interface ClusterOptions {
  /** Names of the machines, a daemon each. @default {[]} */
  machines?: readonly string[];
  /** More flags for the broker. */
  brokerArgs?: readonly string[];
  /** More flags for every daemon. */
  daemonArgs?: readonly string[];
  /** More environment variables for every program. */
  env?: Readonly<Record<string, string>>;
  /** Where a program keeps its data if not in the folder: by machine, the broker's under "". */
  data?: Record<string, string>;
  /**
   * Where a machine's daemon finds the broker, if not at its address: a proxy.
   * Told the broker's address, gives the one to use.
   */
  linkThrough?: Record<string, (brokerAddress: string) => string>;
  /** Has the broker started by another program: one that watches it. */
  wrapBroker?: (command: Command) => Command;
  /** Whether the heartbeat is 300 ms in place of 10 s. @default {false} */
  isQuick?: boolean;
}

/** A running system; disposing ends it and removes its data. */
export class Cluster implements AsyncDisposable {
  readonly folder: TempFolder;
  /** Environment of every program of this system; apps need it too. */
  readonly env: Record<string, string>;
  /** `HOST:PORT` of the broker. */
  readonly brokerAddress: string;
  readonly broker: Slot;
  readonly #daemons = new Map<string, Slot>();
  readonly #httpPorts = new Map<string, number>();
  readonly #options: ClusterOptions;

  private constructor(folder: TempFolder, options: ClusterOptions) {
    this.folder = folder;
    this.#options = options;
    this.env = { ...testEnvironment(folder.path), ...options.env };
    this.brokerAddress = `127.0.0.1:${freePort()}`;
    this.broker = this.#makeBroker();
    for (const machine of options.machines ?? []) this.#addDaemon(machine);
  }

  /** Starts all programs and waits until they listen and are linked. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(await TempFolder.make(), options);
    try {
      await cluster.broker.start();
      await Promise.all([...cluster.#daemons.values()].map((d) => d.start()));
      await cluster.linked();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The daemon of a machine. */
  daemon(machine: string): Slot {
    const slot = this.#daemons.get(machine);
    if (slot === undefined) throw new Error(`No machine ${machine} here`);
    return slot;
  }

  /** Address of a machine's daemon, `unix:PATH`. */
  daemonAddress(machine: string): string {
    return `unix:${this.folder.path}/${machine}.sock`;
  }

  /** The token of the broker or of a machine's daemon, from its file. */
  async token(machine?: string): Promise<string> {
    const address = machine === undefined
      ? this.brokerAddress
      : this.daemonAddress(machine);
    return (await Deno.readTextFile(this.#tokenPath(address))).trim();
  }

  /** Waits until every daemon has its link to the broker. */
  async linked(): Promise<void> {
    for (const machine of this.#daemons.keys()) {
      await eventually(`the link of ${machine}`, async () => {
        return (await this.daemonStatus(machine)).link?.state === "up";
      });
    }
  }

  /** Status of the broker, over HTTP. */
  async brokerStatus(query = ""): Promise<StatusReport> {
    return await this.#status("", query);
  }

  /** Status of a machine's daemon, over HTTP. */
  async daemonStatus(machine: string, query = ""): Promise<StatusReport> {
    return await this.#status(machine, query);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const slots = [this.broker, ...this.#daemons.values()];
    await Promise.all(slots.map((slot) => slot[Symbol.asyncDispose]()));
    await this.folder[Symbol.asyncDispose]();
  }

  #tokenPath(address: string): string {
    return tokenPath(address, { environment: (name) => this.env[name] });
  }

  #makeBroker(): Slot {
    const { path } = this.folder;
    const args = ["--listen", this.brokerAddress, "--http", this.#http("")];
    const data = this.#options.data?.[""] ?? `${path}/broker`;
    args.push("--data", data, ...this.#options.brokerArgs ?? []);
    const plain = this.#command("broker");
    const command = this.#options.wrapBroker?.(plain) ?? plain;
    return new Slot({ name: "broker", command, args, env: this.env });
  }

  #addDaemon(machine: string): void {
    const { path } = this.folder;
    const through = this.#options.linkThrough?.[machine];
    const broker = through?.(this.brokerAddress) ?? this.brokerAddress;
    const args = ["--broker", broker, "--machine", machine];
    args.push("--listen", this.daemonAddress(machine));
    const data = this.#options.data?.[machine] ?? `${path}/${machine}`;
    args.push("--data", data, "--http", this.#http(machine));
    if (through !== undefined) {
      args.push("--broker-token-file", this.#tokenPath(this.brokerAddress));
    }
    args.push(...this.#options.daemonArgs ?? []);
    const command = this.#command("daemon");
    const name = `daemon ${machine}`;
    this.#daemons.set(
      machine,
      new Slot({ name, command, args, env: this.env }),
    );
  }

  #command(task: "broker" | "daemon"): Command {
    return this.#options.isQuick
      ? testCommand(`tests/process/quick_${task}.ts`)
      : taskCommand(task);
  }

  #http(key: string): string {
    const port = freePort();
    this.#httpPorts.set(key, port);
    return `127.0.0.1:${port}`;
  }

  async #status(key: string, query: string): Promise<StatusReport> {
    const port = this.#httpPorts.get(key);
    const token = await this.token(key === "" ? undefined : key);
    return await new StatusReader(`127.0.0.1:${port}`, token).read(query);
  }
}
