import assert from "node:assert/strict";
import { Coordinator, CoordinatorNode } from "../../coordinator/mod.ts";
import type { SharedValue } from "../../coordinator/mod.ts";
import { COORDINATOR_LIMITS } from "../../coordinator/limits.ts";
import { eventually, pause } from "../helpers/eventually.ts";
import { Place } from "../recovery/_place.ts";

/** A place with two coordinators, and a client that has three values. */
async function begin(stack: AsyncDisposableStack) {
  const place = stack.use(await Place.start());
  const start = (id: number) =>
    CoordinatorNode.start({
      id,
      of: 2,
      leaseMs: 500,
      daemon: place.daemon.address,
      token: place.daemon.token ?? undefined,
      dialer: place.network,
    });
  const nodes = await Promise.all([1, 2].map(start));
  for (const node of nodes) stack.use(node);
  const mom = await place.connect("ana");
  const ana = stack.use(await Coordinator.connect(mom, { of: 2 }));
  const values = ["a", "b", "c"].map((name) => ana.value<number>(name));
  for (const value of values) await value.init(1);
  await place.backup();
  for (let i = 2; i < 30; i++) for (const value of values) await value.write(i);
  /** Each coordinator alone has the same. */
  const areAlike = async (expected: number) => {
    for (const id of [1, 2]) {
      await nodes[2 - id]!.stop();
      for (const value of values) assert.equal(await value.read(), expected);
      nodes[2 - id] = stack.use(await start(3 - id));
    }
    await ana.close();
  };
  return { place, values, areAlike };
}

async function hasComeBack(values: readonly SharedValue<number>[]) {
  for (const value of values) {
    await eventually("what the backup has", async () => {
      return await value.read() === 1;
    });
    await value.write(100);
  }
}

Deno.test("coordinators whose broker is restored go on from what the backup has, all alike", async () => {
  await using stack = new AsyncDisposableStack();
  const { place, values, areAlike } = await begin(stack);
  await place.restore();
  await hasComeBack(values);
  await areAlike(100);
});

Deno.test("what a coordinator has on its way while its broker is restored is of no use to the new store", async () => {
  await using stack = new AsyncDisposableStack();
  const { place, values, areAlike } = await begin(stack);
  await place.stopBroker();
  // A snapshot of what the backup does not have goes to the daemon's outbox, after a
  // time that nothing tells.
  await pause(COORDINATOR_LIMITS.snapshotQuietMs * 1.5);
  assert.ok(place.daemon.status().outbox!.messages > 0);
  await place.restore();
  await hasComeBack(values);
  await areAlike(100);
});
