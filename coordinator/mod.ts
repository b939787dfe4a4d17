/**
 * Coordinators: semaphores and values that processes on many machines share, over
 * mom. {@linkcode Coordinator} is an app's way to them; the coordinators themselves
 * are programs (`deno task coordinator`) or {@linkcode CoordinatorNode}s.
 *
 * @module
 */

export { Coordinator } from "./client/coordinator.ts";
export { Permit } from "./client/permit.ts";
export { Semaphore } from "./client/semaphore.ts";
export { SharedValue } from "./client/shared_value.ts";
export { CoordinatorNode } from "./server/node.ts";

export type {
  CoordinatorOptions,
  OperationOptions,
  WaitOptions,
} from "./client/options.ts";
export type { CoordinatorNodeOptions } from "./server/node.ts";
