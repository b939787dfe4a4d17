/**
 * When who waits for a commit hears of it: never before that has returned, and
 * without waiting for the next one, which is under way by then.
 */
import assert from "node:assert/strict";
import { eventually } from "../helpers/eventually.ts";
import { FaultyKv } from "./_faulty_kv.ts";
import { bytes, NOTHING, openStore } from "./_support.ts";

/** A store whose commits wait to be let through, one by one. */
async function openGated() {
  const gates: PromiseWithResolvers<void>[] = [];
  const told: number[] = [];
  const kv = new FaultyKv(Infinity);
  const store = await openStore(":memory:", {
    openKv: (path) => kv.open(path),
    // A failure is what one of the tests is about.
    onFailed: () => {},
    onSeal: () => {
      const position = store.openPosition;
      return () => told.push(position);
    },
  });
  const log = store.createLog();
  await store.committed();
  told.length = 0;
  kv.onCommit = () => {
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    return gate.promise;
  };
  const append = (text: string) => {
    const position = store.openPosition;
    store.append(log, 1, NOTHING, bytes(text));
    store.commit();
    return position;
  };
  const underWay = (count: number) =>
    eventually(`${count} commits`, () => gates.length === count);
  return { store, kv, gates, told, append, underWay };
}

Deno.test("a group is told beside the next commit, never before its own has returned", async () => {
  const { store, kv, gates, told, append, underWay } = await openGated();
  const first = append("first");
  await underWay(1);
  const second = append("second");
  assert.deepEqual(told, [], "the first is not on disk");
  gates[0].resolve();
  await underWay(2);
  await eventually("the first is told", () => told.length > 0);
  assert.deepEqual(told, [first], "the second is not on disk");
  gates[1].resolve();
  await eventually("the second is told", () => told.length > 1);
  assert.deepEqual(told, [first, second]);
  kv.onCommit = () => Promise.resolve();
  await store.close();
});

Deno.test("a group on disk is told though the next commit fails, that one's is not", async () => {
  const { store, kv, gates, told, append, underWay } = await openGated();
  const first = append("first");
  await underWay(1);
  append("second");
  gates[0].resolve();
  await underWay(2);
  const waiting = store.committed();
  gates[1].reject(new TypeError("the disk is gone"));
  await assert.rejects(waiting, { code: "store_unavailable" });
  assert.deepEqual(told, [first]);
  kv.heal();
  await store.close();
  assert.deepEqual(told, [first]);
});
