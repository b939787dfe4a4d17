import assert from "node:assert/strict";
import { Coordinator, CoordinatorNode } from "../../coordinator/mod.ts";
import { eventually } from "../helpers/eventually.ts";
import { Place } from "../recovery/_place.ts";

Deno.test("coordinators whose broker is restored go on from what the backup has, all alike", async () => {
  await using place = await Place.start();
  const start = (id: number) =>
    CoordinatorNode.start({
      id,
      of: 2,
      leaseMs: 500,
      daemon: place.daemon.address,
      token: place.daemon.token ?? undefined,
      dialer: place.network,
    });
  await using stack = new AsyncDisposableStack();
  const nodes = await Promise.all([1, 2].map(start));
  for (const node of nodes) stack.use(node);
  const mom = await place.connect("ana");
  const ana = stack.use(await Coordinator.connect(mom, { of: 2 }));
  const values = ["a", "b", "c"].map((name) => ana.value<number>(name));
  for (const value of values) await value.init(1);
  await place.backup();
  for (let i = 2; i < 30; i++) for (const value of values) await value.write(i);
  await place.restore();
  for (const value of values) {
    await eventually("what the backup has", async () => {
      return await value.read() === 1;
    }, { timeoutMs: 30_000 });
    await value.write(100);
  }
  // Each alone has the same.
  for (const id of [1, 2]) {
    await nodes[2 - id]!.stop();
    for (const value of values) assert.equal(await value.read(), 100);
    nodes[2 - id] = stack.use(await start(3 - id));
  }
  await ana.close();
});
