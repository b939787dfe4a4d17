/**
 * Who is measured: mom by one of its roads, or a peer. A stage is one of them with
 * fresh programs and data.
 *
 * @module
 */

import type { BenchApp } from "./bench_app.ts";
import type { ProcessIds } from "./process_usage.ts";
import type { Acknowledgement } from "./row.ts";

/** Servers that run; disposing ends them and removes their data. */
export interface Stage extends AsyncDisposable {
  /** The servers' processes, by name. */
  readonly servers: ProcessIds;
  /** Starts an app that is connected to them on its first command. */
  startApp(name: string): Promise<BenchApp>;
}

/** How a stage is set up. */
export interface StageOptions {
  /** Has the syncs of the server written to this file, by strace. */
  tracePath?: string;
  /** Mom: publishes wait for the broker. @default {true} */
  isBrokerLevel?: boolean;
}

/** One of those that are compared. */
export interface Contestant {
  peer: string;
  road: string;
  acknowledged: Acknowledgement;
  /** Whether messages wait for a subscriber that is away. */
  isDurable: boolean;
  start(options?: StageOptions): Promise<Stage>;
}
