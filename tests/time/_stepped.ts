/**
 * A broker, a daemon and handles in this process, whose wall clocks a test sets
 * back and forth while real time passes.
 *
 * @module
 */

import { Broker, Daemon, Mom } from "../../mod.ts";
import type { ConnectOptions } from "../../mod.ts";
import { type Clock, systemClock } from "../../protocol/clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";

/** The system's clock, with a wall time that can be set. */
export class SteppedClock implements Clock {
  #stepMs = 0;

  wallMs(): number {
    return systemClock.wallMs() + this.#stepMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  setTimer(delayMs: number, callback: () => void) {
    return systemClock.setTimer(delayMs, callback);
  }

  /** Somebody sets the wall clock. */
  step(ms: number): void {
    this.#stepMs += ms;
  }
}

/** The system. */
export class SteppedSystem implements AsyncDisposable {
  readonly clock = new SteppedClock();
  readonly folder: TempFolder;
  broker!: Broker;
  daemon!: Daemon;
  #port = 0;
  #handles: Mom[] = [];

  private constructor(folder: TempFolder) {
    this.folder = folder;
  }

  /** Starts all on disk. */
  static async start(): Promise<SteppedSystem> {
    const system = new SteppedSystem(await TempFolder.make());
    await system.startBroker();
    await system.startDaemon();
    return system;
  }

  async startBroker(): Promise<void> {
    this.broker = await Broker.start({
      port: this.#port,
      data: `${this.folder.path}/broker`,
      token: "0123456789abcdef",
      clock: this.clock,
    });
    const { address } = this.broker;
    if ("port" in address) this.#port = address.port;
  }

  async startDaemon(): Promise<void> {
    this.daemon = await Daemon.start({
      broker: { hostname: "127.0.0.1", port: this.#port },
      brokerToken: "0123456789abcdef",
      listen: { path: `${this.folder.path}/d.sock` },
      data: `${this.folder.path}/daemon`,
      machine: "north",
      clock: this.clock,
    });
  }

  /** A handle at the daemon. */
  async connect(name?: string, options: ConnectOptions = {}): Promise<Mom> {
    const { address, token } = this.daemon;
    const { clock } = this;
    const where = { daemon: address, token, clock };
    const mom = await Mom.connect({ ...where, name, ...options });
    this.#handles.push(mom);
    return mom;
  }

  /** A handle at the broker. */
  async connectDirect(name?: string): Promise<Mom> {
    const { address, token } = this.broker;
    const { clock } = this;
    const mom = await Mom.connect({ broker: address, token, name, clock });
    this.#handles.push(mom);
    return mom;
  }

  /** Waits for the daemon's link. */
  async linked(): Promise<void> {
    await eventually(
      "the link",
      () => this.daemon.status().link?.state === "up",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#handles.map((mom) => mom.close()));
    await this.daemon.stop();
    await this.broker.stop();
    await this.folder[Symbol.asyncDispose]();
  }
}
