/**
 * Coordinators: semaphores and values that processes on many machines share, over
 * mom. {@linkcode Coordinator} is an app's way to them; the coordinators themselves
 * are programs (`deno task coordinator`) or {@linkcode CoordinatorNode}s.
 *
 * @example Everything in one process
 * ```ts
 * import { Broker, Daemon, Mom } from "../mod.ts";
 * import { Coordinator, CoordinatorNode } from "./mod.ts";
 *
 * await using broker = await Broker.start({ port: 0, data: ":memory:" });
 * await using daemon = await Daemon.start({
 *   broker: broker.address,
 *   listen: { port: 0 },
 *   data: ":memory:",
 * });
 * const { address } = daemon;
 * await using node = await CoordinatorNode.start({ id: 1, of: 1, daemon: address });
 * await using mom = await Mom.connect({ daemon: address });
 * await using coordinator = await Coordinator.connect(mom, { of: 1 });
 *
 * const door = coordinator.semaphore("door");
 * const free = coordinator.value<number>("free");
 * await door.init(1);
 * await free.init(6);
 * {
 *   await using permit = await door.wait({ timeoutMs: 5_000 });
 *   if (permit.token !== 1) throw permit;
 *   await free.write(await free.read() - 1);
 * }
 * if (await free.compareAndSet(6, 0)) throw new Error("it was 5");
 * if (node.shards.length !== 1) throw node;
 * ```
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
