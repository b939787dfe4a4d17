/**
 * The place of a broker or daemon in a simulated world: one life after another
 * on one disk.
 *
 * @module
 */

import { Broker } from "../../broker/broker.ts";
import { Daemon } from "../../daemon/daemon.ts";
import type { Logger } from "../../program/log.ts";
import type { StatusReport } from "../../program/status.ts";
import type { Journal } from "./journal.ts";
import type { Kernel } from "./kernel.ts";
import { Part } from "./part.ts";
import { SimDisk } from "./sim_disk.ts";
import type { SimNetwork } from "./sim_network.ts";

/** What all slots of a world share. */
export interface SlotWorld {
  readonly kernel: Kernel;
  readonly network: SimNetwork;
  readonly journal: Journal;
}

/** Where everybody finds the broker. */
export const BROKER_ADDRESS = "127.0.0.1:6270";

interface Program {
  status(): StatusReport;
}

/** One program over all its lives. */
export abstract class Slot {
  readonly name: string;
  readonly address: string;
  readonly disk: SimDisk;
  /** How many lives it had. */
  lives = 0;
  protected readonly world: SlotWorld;
  #part: Part | null = null;
  #program: Program | null = null;
  /** Lives that can't go on with their disk, and shall end by themselves. */
  readonly #displaced = new Set<Part>();

  constructor(name: string, address: string, world: SlotWorld) {
    this.name = name;
    this.address = address;
    this.world = world;
    this.disk = new SimDisk(name, world.kernel);
  }

  /** The life that is on; `null` between two. */
  get part(): Part | null {
    return this.#part;
  }

  /** What it tells of itself; `null` while it is not up. */
  status(): StatusReport | null {
    return this.#program?.status() ?? null;
  }

  /** Begins a life. */
  launch(): void {
    const part = new Part(`${this.name}.${++this.lives}`, this.world.kernel);
    this.#part = part;
    this.#program = null;
    this.begin(part).then(
      (program) => this.#part === part && (this.#program = program),
      (error) => this.#failed(part, error),
    );
  }

  /** SIGKILL, and another life after a while. */
  kill(downMs: number): void {
    const part = this.#part;
    if (part === null) return;
    this.#part = this.#program = null;
    this.disk.fuse = null;
    part.kill();
    this.world.kernel.note(`${part.name} killed`);
    this.#relaunch(downMs);
  }

  /** Its disk is gone with all that is on it; another one is empty. */
  loseDisk(downMs: number): void {
    this.kill(downMs);
    this.disk.wipe();
  }

  /** A commit fails, and nobody knows whether it happened. */
  failCommit(): void {
    const part = this.#part;
    if (part === null || this.#program === null) return;
    this.disk.failing = part;
    this.world.kernel.note(`${part.name} can write no more`);
    this.#displaced.add(part);
  }

  /** Another life begins on its disk while this one only stands still. */
  displace(stallMs: number): void {
    const part = this.#part;
    if (part === null || this.#program === null) return;
    const { kernel } = this.world;
    this.#part = this.#program = null;
    this.#displaced.add(part);
    part.stalledUntilMs = kernel.nowMs + stallMs;
    part.unplug();
    kernel.note(`${part.name} displaced`);
    this.#relaunch(0);
  }

  /** Starts the program in `part`. */
  protected abstract begin(part: Part): Promise<Program>;

  /** Hears that the program of a life has stopped by itself. */
  protected stopped(part: Part, error: Error): void {
    const { kernel, journal } = this.world;
    if (!this.#displaced.has(part)) {
      journal.break(`${part.name} stopped by itself: ${error}`);
    }
    kernel.after(1, null, "exit", () => {
      part.kill();
      if (this.#part !== part) return;
      this.#part = this.#program = null;
      this.#relaunch(20);
    });
  }

  /** What it logs; defects must not be. */
  protected logger(part: Part): Logger {
    const ignore = () => {};
    const tell = (event: string, fields?: Record<string, unknown>) => {
      if (this.#displaced.has(part)) return;
      const error = fields?.error;
      const text = error instanceof Error ? error.stack : String(error);
      this.world.journal.break(`${part.name} logs ${event}: ${text}`);
    };
    return { debug: ignore, info: ignore, warn: ignore, error: tell } as Logger;
  }

  #relaunch(downMs: number): void {
    this.world.kernel.after(downMs, null, "launch", () => this.launch());
  }

  #failed(part: Part, error: unknown): void {
    this.world.journal.break(`${part.name} does not start: ${error}`);
  }
}

/** The broker's. */
export class BrokerSlot extends Slot {
  /** Largest message that it takes. */
  maxMessageBytes: number | undefined;

  constructor(world: SlotWorld) {
    super("broker", BROKER_ADDRESS, world);
  }

  protected async begin(part: Part): Promise<Program> {
    return await Broker.start({
      data: ":memory:",
      insecureNoToken: true,
      maxMessageBytes: this.maxMessageBytes,
      clock: part.clock,
      entropy: part.entropy,
      logger: this.logger(part),
      listener: this.world.network.listen(part, this.address),
      openKv: () => this.disk.open(part),
      onFailed: (error) => this.stopped(part, error),
    });
  }
}

/** A daemon's. */
export class DaemonSlot extends Slot {
  readonly machine: string;

  constructor(machine: string, address: string, world: SlotWorld) {
    super(machine, address, world);
    this.machine = machine;
  }

  protected async begin(part: Part): Promise<Program> {
    return await Daemon.start({
      broker: BROKER_ADDRESS,
      brokerToken: "unused-unused-unused-unused",
      listen: this.address,
      data: ":memory:",
      machine: this.machine,
      insecureNoToken: true,
      clock: part.clock,
      entropy: part.entropy,
      logger: this.logger(part),
      dialer: this.world.network.dialer(part),
      listener: this.world.network.listen(part, this.address),
      openKv: () => this.disk.open(part),
      onFailed: (error) => this.stopped(part, error),
    });
  }
}
