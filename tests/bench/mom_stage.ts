/**
 * Mom as a contestant: a broker, and on the road `daemons` one daemon for those
 * who write and one for those who read.
 *
 * @module
 */

import { Cluster } from "../process/cluster.ts";
import type { AppSettings } from "./app/protocol.ts";
import { BenchApp } from "./bench_app.ts";
import type { Contestant, Stage, StageOptions } from "./contestant.ts";
import type { ProcessIds } from "./process_usage.ts";
import { tracing } from "./strace.ts";

/** How apps reach the broker. */
export type Road = "daemons" | "direct";

const MACHINES = { daemons: ["north", "south"], direct: [] } as const;

/** Mom by one of its roads. */
export interface MomContestant extends Contestant {
  start(options?: StageOptions): Promise<MomStage>;
}

/** Makes the contestant of a road. */
export function momContestant(road: Road): MomContestant {
  return {
    peer: "mom",
    road,
    acknowledged: "disk",
    isDurable: true,
    start: (options) => MomStage.start(road, options),
  };
}

/** Broker and daemons. */
export class MomStage implements Stage {
  readonly cluster: Cluster;
  readonly #settings: Omit<AppSettings, "name">;
  readonly #ids: Record<string, number> = {};

  private constructor(cluster: Cluster, road: Road, isBrokerLevel: boolean) {
    this.cluster = cluster;
    const at = (machine: string) =>
      road === "direct"
        ? { address: cluster.brokerAddress, isDirect: true, isBrokerLevel }
        : { address: cluster.daemonAddress(machine), isBrokerLevel };
    this.#settings = {
      driver: "mom",
      writer: at("north"),
      reader: at("south"),
    };
  }

  /** Starts the programs; the links are up. */
  static async start(
    road: Road,
    options: StageOptions = {},
  ): Promise<MomStage> {
    const { tracePath, isBrokerLevel = true } = options;
    const cluster = await Cluster.start({
      machines: MACHINES[road],
      brokerArgs: ["--log-level", "warn"],
      daemonArgs: ["--log-level", "warn"],
      wrapBroker: tracePath === undefined ? undefined : tracing(tracePath),
    });
    const stage = new MomStage(cluster, road, isBrokerLevel);
    const { pid } = await cluster.broker.program.ready();
    stage.#ids["broker"] = pid;
    for (const machine of MACHINES[road]) {
      const { pid } = await cluster.daemon(machine).program.ready();
      stage.#ids[`daemon ${machine}`] = pid;
    }
    return stage;
  }

  get servers(): ProcessIds {
    return this.#ids;
  }

  async startApp(name: string): Promise<BenchApp> {
    return await BenchApp.start(name, this.#settings, this.cluster.env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}
