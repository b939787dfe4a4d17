/**
 * Coordinators as real processes, spread over the daemons of a cluster.
 *
 * @module
 */

import { Mom } from "../../mod.ts";
import { Coordinator } from "../../coordinator/mod.ts";
import { Cluster } from "../process/cluster.ts";
import { taskCommand } from "../process/commands.ts";
import { Slot } from "../process/slot.ts";

/** Options of {@linkcode CoordinatorSet.start}. */
export interface CoordinatorSetOptions {
  /** How many coordinators. @default {3} */
  of?: number;
  /** @default {2} */
  replicas?: number;
  /** Of coordinators and clients. @default {1_000} */
  leaseMs?: number;
  /** @default Three daemons. */
  machines?: readonly string[];
}

/** A cluster with coordinators; disposing ends all of it. */
export class CoordinatorSet implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly of: number;
  readonly leaseMs: number;
  readonly machines: readonly string[];
  readonly slots: Slot[];
  readonly #open: AsyncDisposable[] = [];

  private constructor(cluster: Cluster, options: CoordinatorSetOptions) {
    const { of = 3, replicas = 2, leaseMs = 1_000 } = options;
    this.cluster = cluster;
    this.of = of;
    this.leaseMs = leaseMs;
    this.machines = options.machines ?? MACHINES;
    this.slots = Array.from({ length: of }, (_, index) => {
      const machine = this.machines[index % this.machines.length]!;
      const args = ["--id", `${index + 1}`, "--of", `${of}`];
      args.push("--replicas", `${replicas}`, "--lease-ms", `${leaseMs}`);
      args.push("--daemon", cluster.daemonAddress(machine));
      return new Slot({
        name: `coordinator ${index + 1}`,
        command: taskCommand("coordinator"),
        args,
        env: cluster.env,
      });
    });
  }

  /** Starts everything and waits until all coordinators serve. */
  static async start(
    options: CoordinatorSetOptions = {},
  ): Promise<CoordinatorSet> {
    const machines = options.machines ?? MACHINES;
    const cluster = await Cluster.start({ machines });
    const set = new CoordinatorSet(cluster, options);
    try {
      await Promise.all(set.slots.map((slot) => slot.start()));
    } catch (error) {
      await set[Symbol.asyncDispose]();
      throw error;
    }
    return set;
  }

  /** The coordinator with a number. */
  slot(id: number): Slot {
    const slot = this.slots[id - 1];
    if (slot === undefined) throw new Error(`There is no coordinator ${id}`);
    return slot;
  }

  /** A handle of an unnamed user at a machine. */
  async mom(machine: string): Promise<Mom> {
    const mom = await Mom.connect({
      daemon: this.cluster.daemonAddress(machine),
      token: await this.cluster.token(machine),
    });
    this.#open.push(mom);
    return mom;
  }

  /** A client in this process. */
  async client(machine: string = this.machines[0]!): Promise<Coordinator> {
    const mom = await this.mom(machine);
    const { of, leaseMs } = this;
    const client = await Coordinator.connect(mom, { of, leaseMs });
    this.#open.push(client);
    return client;
  }

  /** Ends a coordinator's user with its mailbox, as if its machine had lost its disk. */
  async destroyUser(id: number): Promise<{ user: string }> {
    const machine = this.machines[(id - 1) % this.machines.length]!;
    const mom = await Mom.connect({
      daemon: this.cluster.daemonAddress(machine),
      token: await this.cluster.token(machine),
      name: `coordinator-${this.of}-${id}`,
    });
    const { user } = mom;
    await mom.destroy();
    return { user };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = this.#open.splice(0);
    const clients = open.filter((each) => each instanceof Coordinator);
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(open.map((each) => each[Symbol.asyncDispose]()));
    await Promise.all(this.slots.map((slot) => slot[Symbol.asyncDispose]()));
    await this.cluster[Symbol.asyncDispose]();
  }
}

const MACHINES = ["north", "east", "south"];
