/**
 * A broker and daemons in this process, reached over real sockets.
 *
 * @module
 */

import { Broker, type ConnectOptions, Daemon, Mom } from "../../mod.ts";
import { TempFolder } from "./temp_folder.ts";

/** A system; disposing closes its handles, then ends it. */
export class System implements AsyncDisposable {
  readonly folder: TempFolder;
  readonly broker: Broker;
  readonly #daemons = new Map<string, Daemon>();
  readonly #handles: Mom[] = [];

  private constructor(folder: TempFolder, broker: Broker) {
    this.folder = folder;
    this.broker = broker;
  }

  /** Starts a broker in memory and a daemon in memory for each machine. */
  static async start(machines: readonly string[]): Promise<System> {
    const folder = await TempFolder.make();
    const broker = await Broker.start({
      hostname: "127.0.0.1",
      port: 0,
      data: ":memory:",
    });
    const system = new System(folder, broker);
    for (const machine of machines) await system.#addDaemon(machine);
    return system;
  }

  /** The daemon of a machine. */
  daemon(machine: string): Daemon {
    const daemon = this.#daemons.get(machine);
    if (daemon === undefined) throw new Error(`No machine ${machine} here`);
    return daemon;
  }

  /** A handle at a machine's daemon, closed with the system. */
  async connect(
    machine: string,
    name?: string,
    options: ConnectOptions = {},
  ): Promise<Mom> {
    const { address, token } = this.daemon(machine);
    const mom = await Mom.connect({ daemon: address, token, name, ...options });
    this.#handles.push(mom);
    return mom;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#handles.map((mom) => mom.close()));
    await Promise.all([...this.#daemons.values()].map((one) => one.stop()));
    await this.broker.stop();
    await this.folder[Symbol.asyncDispose]();
  }

  async #addDaemon(machine: string): Promise<void> {
    const daemon = await Daemon.start({
      broker: this.broker.address,
      brokerToken: this.broker.token ?? undefined,
      listen: { path: `${this.folder.path}/${machine}.sock` },
      data: ":memory:",
      machine,
    });
    this.#daemons.set(machine, daemon);
  }
}
