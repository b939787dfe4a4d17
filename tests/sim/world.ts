/**
 * A simulated world: broker, daemons, apps, and what connects them.
 *
 * @module
 */

import { Random } from "../helpers/random.ts";
import { Journal } from "./journal.ts";
import { Kernel } from "./kernel.ts";
import { BROKER_ADDRESS, BrokerSlot, DaemonSlot, type Slot } from "./slot.ts";
import { Life } from "./life.ts";
import { Part } from "./part.ts";
import type { TroubleKind } from "./trouble.ts";
import { SimNetwork } from "./sim_network.ts";

/** The machines, a daemon each. */
export const MACHINES = ["north", "south", "east"] as const;

/** A world. */
export class World {
  readonly kernel: Kernel;
  readonly network: SimNetwork;
  readonly journal: Journal;
  readonly broker: BrokerSlot;
  readonly daemons: readonly DaemonSlot[];
  /** Lives of apps that have not ended. */
  readonly lives = new Set<Life>();
  /** Chance of what apps do and what befalls the world. */
  readonly random: Random;
  /** Machines that lost their disk, and what they had with it. */
  readonly lostMachines = new Set<string>();
  /** Machines with a user that must miss nothing. */
  readonly steadyMachines = new Set<string>();
  /** How much befalls it. */
  troubles = 0;
  /** For canaries: all trouble is of this kind. */
  focus: TroubleKind | null = null;
  #lifeCount = 0;

  constructor(seed: number) {
    this.kernel = new Kernel(seed ^ 0x5bd1e995);
    this.random = new Random(seed);
    const readBytesMax = this.random.pick([65_536, 65_536, 4_000, 700]);
    this.network = new SimNetwork(this.kernel, readBytesMax);
    this.journal = new Journal(this.kernel, this.lostMachines);
    this.broker = new BrokerSlot(this);
    this.daemons = MACHINES.map((machine, i) =>
      new DaemonSlot(machine, `127.0.0.1:${7001 + i}`, this)
    );
    // Less than a daemon takes: what it has answered for may then be refused.
    if (this.random.chance(0.2)) {
      this.broker.maxMessageBytes = this.random.pick([90_000, 20_000]);
    }
  }

  /** Broker and daemons. */
  get slots(): Slot[] {
    return [this.broker, ...this.daemons];
  }

  /** Makes a life of an app. */
  newLife(
    options: { name?: string; machine: string | null; mustLast?: boolean },
  ): Life {
    const { kernel, network, journal } = this;
    const { name, machine } = options;
    const address = this.daemons.find((one) => one.machine === machine)
      ?.address ?? BROKER_ADDRESS;
    const label = `${name ?? "anon"}.${++this.#lifeCount}`;
    const part = new Part(label, kernel);
    const random = this.random.fork();
    const life = new Life({
      part,
      network,
      journal,
      random,
      address,
      messageBytesMax: this.broker.maxMessageBytes,
      ...options,
    });
    this.lives.add(life);
    part.onDeath(() => this.lives.delete(life));
    return life;
  }

  /** Whether all programs are up, and no message is on its way. */
  isAtRest(): boolean {
    for (const daemon of this.daemons) {
      const status = daemon.status();
      if (status === null || status.outbox === null) return false;
      if (status.outbox.messages > 0 || status.link?.state !== "up") {
        return false;
      }
    }
    const rows = this.broker.status()?.subscriptions;
    return rows?.every(({ user, pending }) =>
      pending === 0 || this.#isForgotten(user)
    ) === true;
  }

  /** Whether its machine knows nothing of it any more, and nobody has come for it. */
  #isForgotten(user: string): boolean {
    if (!this.lostMachines.has(user.split("@")[1])) return false;
    return ![...this.lives].some((life) => life.isReading(user));
  }

  /** Resolves when `isTrue`, asked every so often. @returns Whether it came true. */
  async until(
    isTrue: () => boolean,
    withinMs: number,
    everyMs = 100,
  ): Promise<boolean> {
    const startMs = this.kernel.nowMs;
    const endMs = startMs + withinMs;
    while (!isTrue()) {
      if (this.kernel.nowMs > endMs) return false;
      // What has not come soon will take long.
      const isLong = this.kernel.nowMs - startMs > 2_000;
      await this.kernel.sleep(isLong ? 500 : everyMs, null, "ask");
    }
    return true;
  }
}
