import assert from "node:assert/strict";
import { fromSnapshot, toSnapshot } from "../../coordinator/core/snapshot.ts";
import { inShort, Shard } from "./_shard.ts";

function shardWith(value: number, ...clients: string[]): Shard {
  const shard = new Shard();
  shard.hello(...clients);
  shard.ask(clients[0]!, { op: "semaphore_init", name: "s", value });
  return shard;
}
const WAIT = { op: "semaphore_wait", name: "s" };
const SIGNAL = { op: "semaphore_signal", name: "s" };

Deno.test("[O-19] semaphores and values do what the original's did, with errors in the place of 0", () => {
  const shard = new Shard();
  shard.hello("a");
  const table: [Record<string, unknown> & { op: string }, string][] = [
    [{ op: "semaphore_init", name: "s", value: 1 }, "done null"],
    [{ op: "semaphore_init", name: "S", value: 1 }, "failed exists"],
    [{ op: "semaphore_init", name: "t", value: -1 }, "failed option_invalid"],
    [{ op: "semaphore_init", name: "t", value: "x" }, "failed option_invalid"],
    [{ op: "semaphore_wait", name: "s" }, "done 1"],
    [{ op: "semaphore_signal", name: "S" }, "done null"],
    [{ op: "semaphore_wait", name: "s" }, "done 2"],
    [
      { op: "semaphore_release", name: "s", token: 1 },
      "failed lease_lost",
    ],
    [{ op: "semaphore_release", name: "s", token: 2 }, "done null"],
    [{ op: "semaphore_wait", name: "u" }, "failed unknown_name"],
    [{ op: "semaphore_signal", name: "u" }, "failed unknown_name"],
    [{ op: "semaphore_destroy", name: "u" }, "failed unknown_name"],
    [{ op: "semaphore_wait", name: "s" }, "done 3"],
    [{ op: "semaphore_destroy", name: "s" }, "done null"],
    [{ op: "semaphore_release", name: "s", token: 3 }, "failed destroyed"],
    [{ op: "semaphore_init", name: "s", value: 0 }, "done null"],
    [{ op: "semaphore_release", name: "s", token: 3 }, "failed destroyed"],
    [{ op: "value_read", name: "s" }, "failed unknown_name"],
    [{ op: "value_write", name: "s", value: 1 }, "failed unknown_name"],
    [{ op: "value_init", name: "s", value: { a: [1] } }, "done null"],
    [{ op: "value_init", name: "S", value: 0 }, "failed exists"],
    [{ op: "value_read", name: "S" }, 'done {"a":[1]}'],
    [
      {
        op: "value_compare_and_set",
        name: "s",
        expected: { a: [2] },
        value: 5,
      },
      "done false",
    ],
    [
      {
        op: "value_compare_and_set",
        name: "s",
        expected: { a: [1] },
        value: 5,
      },
      "done true",
    ],
    [{ op: "value_read", name: "s" }, "done 5"],
    [{ op: "value_write", name: "s", value: null }, "done null"],
    [{ op: "value_destroy", name: "s" }, "done null"],
    [{ op: "value_destroy", name: "s" }, "failed unknown_name"],
  ];
  for (const [index, [operation, expected]] of table.entries()) {
    const got = inShort(shard.ask("a", operation));
    assert.deepEqual(got, [`a#${index + 2} ${expected}`]);
  }
});

Deno.test("step() lets waiters in in their order, each with a greater token", () => {
  const shard = shardWith(1, "a", "b", "c");
  assert.deepEqual(inShort(shard.ask("a", WAIT)), ["a#3 done 1"]);
  assert.deepEqual(shard.ask("b", WAIT), []);
  assert.deepEqual(shard.ask("c", WAIT), []);
  assert.deepEqual(
    inShort(shard.ask("a", { op: "semaphore_release", name: "s", token: 1 })),
    ["b#2 done 2", "a#4 done null"],
  );
  assert.deepEqual(inShort(shard.ask("a", SIGNAL)), [
    "c#2 done 3",
    "a#5 done null",
  ]);
  assert.deepEqual(
    inShort(shard.ask("b", { op: "semaphore_destroy", name: "s" })),
    ["b#3 done null"],
  );
});

Deno.test("step() wakes waiters with `destroyed`", () => {
  const shard = shardWith(0, "a", "b", "c");
  shard.ask("a", WAIT);
  shard.ask("b", WAIT);
  const destroy = { op: "semaphore_destroy", name: "s" };
  assert.deepEqual(inShort(shard.ask("c", destroy)), [
    "a#3 failed destroyed",
    "b#2 failed destroyed",
    "c#2 done null",
  ]);
});

Deno.test("[O-20] a request that comes again is answered again and not executed again", () => {
  const shard = shardWith(1, "a", "b");
  const wait = shard.record("a", 10, WAIT);
  const first = shard.put(wait);
  assert.deepEqual(inShort(first), ["a#10 done 1"]);
  assert.deepEqual(shard.put(wait), first);
  const queued = shard.record("b", 10, WAIT);
  assert.deepEqual(shard.put(queued), []);
  assert.deepEqual(shard.put(queued), []);
  assert.equal(shard.state.semaphores.get("S")!.waiters.length, 1);
  // A later request says that the earlier ones are not waited for any more.
  shard.put(shard.record("a", 11, SIGNAL));
  assert.deepEqual(shard.put(wait), []);
  assert.equal(shard.state.semaphores.get("S")!.value, 0);
});

Deno.test("step() takes a wait that is cancelled out of the queue, or gives back its grant", () => {
  const shard = shardWith(1, "a", "b", "c");
  shard.put(shard.record("a", 10, WAIT));
  shard.put(shard.record("b", 10, WAIT));
  shard.put(shard.record("c", 10, { ...WAIT, consume: true }));
  const cancel = (target: number) => ({ op: "semaphore_cancel", target });
  assert.deepEqual(inShort(shard.put(shard.record("b", 11, cancel(10)))), [
    "b#11 done null",
  ]);
  assert.deepEqual(inShort(shard.put(shard.record("a", 11, cancel(10)))), [
    "c#10 done 2",
    "a#11 done null",
  ]);
  assert.deepEqual(inShort(shard.put(shard.record("c", 11, cancel(10)))), [
    "c#11 done null",
  ]);
  assert.equal(shard.state.semaphores.get("S")!.value, 1);
  // One that comes behind its cancel is void.
  shard.put(shard.record("a", 21, cancel(20)));
  assert.deepEqual(shard.put(shard.record("a", 20, WAIT)), []);
  assert.equal(shard.state.semaphores.get("S")!.value, 1);
});

Deno.test("step() keeps a consumed grant only until its client has heard of it", () => {
  const shard = shardWith(2, "a", "b");
  const consume = { ...WAIT, consume: true };
  shard.put(shard.record("a", 10, consume));
  shard.put(shard.record("b", 10, consume));
  shard.put({
    v: 1,
    kind: "renew",
    client: shard.record("b", 1, WAIT).client,
    session: 1,
    upTo: 10,
  });
  const { client } = shard.record("a", 1, WAIT);
  const { seen } = shard.state.sessions.get(client)!;
  shard.put({ v: 1, kind: "expire", client, session: 1, seen });
  assert.equal(shard.state.semaphores.get("S")!.value, 1);
  shard.put(shard.record("b", 12, { op: "leave" }));
  assert.equal(shard.state.semaphores.get("S")!.value, 1);
});

Deno.test("step() gives back what an ended session held, and takes it out of queues", () => {
  const shard = shardWith(1, "a", "b", "c");
  shard.ask("a", WAIT);
  shard.ask("b", WAIT);
  shard.ask("c", WAIT);
  const seenOf = (client: string) =>
    shard.state.sessions.get(shard.record(client, 1, WAIT).client)!.seen;
  const expire = (client: string, seen: number) => ({
    v: 1,
    kind: "expire",
    client: shard.record(client, 1, WAIT).client,
    session: 1,
    seen,
  });
  assert.deepEqual(shard.put(expire("b", seenOf("b") - 1)), [], "it is void");
  assert.deepEqual(shard.put(expire("b", seenOf("b"))), []);
  assert.deepEqual(inShort(shard.put(expire("a", seenOf("a")))), [
    "c#2 done 2",
  ]);
  assert.deepEqual(inShort(shard.ask("a", SIGNAL)), ["a#4 ended"]);
  assert.equal(shard.state.semaphores.get("S")!.value, 0);
});

Deno.test("step() executes nothing that comes behind its deadline", () => {
  const shard = shardWith(1, "a");
  const wait = { ...shard.record("a", 10, WAIT), deadline: 1_500 };
  shard.time = 1_501;
  assert.deepEqual(inShort(shard.put(wait)), ["a#10 late"]);
  assert.equal(shard.state.semaphores.get("S")!.value, 1);
  assert.deepEqual(inShort(shard.put({ ...wait, deadline: 2_000 })), [
    "a#10 done 1",
  ]);
  shard.time = 3_000;
  assert.deepEqual(inShort(shard.put(wait)), ["a#10 done 1"], "answered again");
});

Deno.test("step() begins a later session and ends the one before", () => {
  const shard = shardWith(1, "a", "b");
  shard.ask("a", WAIT);
  shard.ask("b", WAIT);
  const hello = {
    ...shard.record("a", 10, { op: "hello" }),
    leaseMs: 500,
    session: 2,
  };
  assert.deepEqual(inShort(shard.put(hello)), ["b#2 done 2", "a#10 done null"]);
  assert.deepEqual(inShort(shard.put(hello)), ["a#10 done null"]);
  assert.deepEqual(inShort(shard.ask("a", WAIT)), ["a#4 ended"]);
});

Deno.test("step() leaves the lease to who knows its last renewal", () => {
  const shard = shardWith(1, "a");
  const by = (coordinator: number) => ({
    v: 1,
    coordinator,
    incarnation: `life ${coordinator}`,
  });
  const takeover = (coordinator: number, renewal: number | null) =>
    shard.put({ ...by(coordinator), kind: "takeover", renewal });
  const leader = () => shard.state.leader?.coordinator;
  assert.deepEqual(inShort(takeover(3, null)), ["a#2 done null"]);
  takeover(2, null);
  assert.equal(leader(), 3);
  shard.put({ ...by(3), kind: "lease", answered: shard.state.next - 1 });
  const renewal = shard.state.leader!.renewal;
  shard.put({ ...by(2), kind: "lease", answered: 0 });
  takeover(2, renewal - 1);
  assert.equal(leader(), 3);
  shard.ask("a", WAIT);
  assert.deepEqual(inShort(takeover(2, renewal)), ["a#3 done 1"]);
  assert.equal(leader(), 2);
});

Deno.test("[O-23] step() answers what makes no sense, if it can, and goes on", () => {
  const shard = new Shard();
  shard.hello("a");
  const nonsense = [
    null,
    7,
    "x",
    [],
    {},
    { v: 1 },
    { v: 1, kind: "toString" },
    { v: 2, kind: "lease" },
    { v: 1, kind: "expire", client: "a", seen: {} },
    new Uint8Array(3),
    new Date(0),
  ];
  for (const value of nonsense) assert.deepEqual(shard.put(value), []);
  assert.equal(shard.state.malformed, nonsense.length);
  for (
    const bad of [
      { op: "semaphore_fly", name: "s" },
      { op: "semaphore_wait" },
      { op: "semaphore_wait", name: 5 },
      { op: "semaphore_wait", name: "x".repeat(201) },
      { op: "value_write", name: "s" },
      { op: "semaphore_release", name: "s", token: "1" },
      { op: "value_read", name: "s", v: 9 },
      { op: "value_read", name: "s", open: new Array(257).fill(1) },
    ]
  ) {
    const [reply] = shard.ask("a", bad);
    assert.equal(reply?.outcome.outcome, "failed", JSON.stringify(bad));
  }
  assert.deepEqual(inShort(shard.ask("a", WAIT)), ["a#10 failed unknown_name"]);
});

Deno.test("fromSnapshot() makes the state that toSnapshot() was given", () => {
  const shard = shardWith(1, "a", "b", "c");
  shard.ask("a", WAIT);
  shard.ask("b", WAIT);
  shard.ask("c", { ...WAIT, consume: true });
  shard.ask("c", { op: "value_init", name: "v", value: { deep: [1, "x"] } });
  shard.put({
    v: 1,
    kind: "takeover",
    coordinator: 1,
    incarnation: "i",
    renewal: null,
  });
  const restored = fromSnapshot(structuredClone(toSnapshot(shard.state)));
  assert.deepEqual(toSnapshot(restored), toSnapshot(shard.state));
  assert.equal(restored.bytes, shard.state.bytes);
  shard.state = restored;
  assert.deepEqual(inShort(shard.ask("a", SIGNAL)), [
    "b#2 done 2",
    "a#4 done null",
  ]);
});
