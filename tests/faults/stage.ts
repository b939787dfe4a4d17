/**
 * Everything that takes part in a fault run, as real processes.
 *
 * @module
 */

import { Cluster } from "../process/cluster.ts";
import type { Program } from "../process/program.ts";
import type { Slot } from "../process/slot.ts";
import { AppSlot } from "./app_slot.ts";
import { CAST, MACHINES } from "./cast.ts";

/** Options of {@linkcode Stage.open}. */
export interface StageOptions {
  /** As in `ClusterOptions`. */
  linkThrough?: Record<string, (brokerAddress: string) => string>;
  /** Where apps without a daemon find the broker, if not at its address. */
  directThrough?: (brokerAddress: string) => string;
  /** As in `ClusterOptions`, for apps too. */
  isQuick?: boolean;
}

/** A broker, its daemons and its apps. */
export class Stage implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly apps: readonly AppSlot[];
  /** Number of the round; part of the writers' ids. */
  round = 0;

  private constructor(
    cluster: Cluster,
    directAddress: string,
    heartbeatMs?: number,
  ) {
    this.cluster = cluster;
    this.apps = CAST.map((role) =>
      new AppSlot(role, cluster, { directAddress, heartbeatMs })
    );
  }

  /** Starts everything; every app is connected and subscribed. */
  static async open(options: StageOptions = {}): Promise<Stage> {
    const { linkThrough, directThrough, isQuick } = options;
    const machines = MACHINES;
    const cluster = await Cluster.start({ machines, linkThrough, isQuick });
    const { brokerAddress } = cluster;
    const stage = new Stage(
      cluster,
      directThrough?.(brokerAddress) ?? brokerAddress,
      isQuick ? 300 : undefined,
    );
    try {
      for (const app of stage.apps) app.launch();
      const ready = await Promise.all(stage.apps.map((app) => app.ready()));
      if (ready.includes(false)) throw new Error("An app did not start");
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** Broker and daemons. */
  get programs(): Slot[] {
    const { broker } = this.cluster;
    return [broker, ...MACHINES.map((machine) => this.cluster.daemon(machine))];
  }

  /** The app of a name. */
  app(name: string): AppSlot {
    const app = this.apps.find((one) => one.role.name === name);
    if (app === undefined) throw new Error(`No app ${name} here`);
    return app;
  }

  /** The process that is in a slot now, a program's or an app's. */
  program(name: string): Program {
    const slot = this.programs.find((one) => one.name === name);
    return slot?.program ?? this.app(name).program;
  }

  /** Whether no message is on its way: outboxes empty, nothing pending. */
  async isAtRest(): Promise<boolean> {
    for (const machine of MACHINES) {
      const { outbox } = await this.cluster.daemonStatus(machine);
      if (outbox === null || outbox.messages > 0) return false;
    }
    const { subscriptions, totals } = await this.cluster.brokerStatus();
    return totals.pending === 0 &&
      subscriptions.every((row) => row.pending === 0);
  }

  /** How everything stands, for who looks for what went wrong. */
  async describe(): Promise<string[]> {
    const told: string[] = [`data in ${this.cluster.folder.path}`];
    for (const machine of MACHINES) {
      const status = await this.cluster.daemonStatus(machine);
      const { link, outbox, inbox, sessions } = status;
      told.push(
        `daemon ${machine}: ${
          JSON.stringify({ link, outbox, inbox, sessions })
        }`,
      );
    }
    const { sessions } = await this.cluster.brokerStatus();
    told.push(`broker: ${JSON.stringify({ sessions })}`);
    const programs = [...this.programs.map((slot) => slot.program)]
      .concat(this.apps.map((app) => app.program));
    for (const { name, stderr } of programs) {
      const lines = stderr.split("\n").filter((line) => line !== "");
      told.push(...lines.slice(-5).map((line) => `${name}: ${line}`));
    }
    return told;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.apps.map((app) => app[Symbol.asyncDispose]()));
    await this.cluster[Symbol.asyncDispose]();
  }
}
