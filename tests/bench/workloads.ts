/**
 * The workloads by name.
 *
 * @module
 */

import type { WorkloadName } from "./options.ts";
import type { Workload } from "./workload.ts";
import { away } from "./workloads/away.ts";
import { backlog } from "./workloads/backlog.ts";
import { deliver, fanout } from "./workloads/deliver.ts";
import { durability } from "./workloads/durability.ts";
import { idle } from "./workloads/idle.ts";
import { laggard } from "./workloads/laggard.ts";
import { latency } from "./workloads/latency.ts";
import { publish } from "./workloads/publish.ts";
import { scale } from "./workloads/scale.ts";

/** Those that are measured at servers. */
export type ServedWorkload = Exclude<WorkloadName, "store">;

/** All of them. */
export const WORKLOAD_OF: Record<ServedWorkload, Workload> = {
  publish,
  deliver,
  fanout,
  latency,
  backlog,
  away,
  idle,
  scale,
  laggard,
  durability,
};
