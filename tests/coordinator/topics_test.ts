import assert from "node:assert/strict";
import {
  coordinatorUser,
  replicasOf,
  shardOf,
  shardsOf,
  TopicNames,
} from "../../coordinator/topics.ts";

Deno.test("[O-22] every shard lies on as many neighbours as there are replicas", () => {
  assert.deepEqual(replicasOf(1, 3, 2), [1, 3]);
  assert.deepEqual(replicasOf(3, 3, 2), [3, 2]);
  assert.deepEqual(replicasOf(1, 1, 2), [1]);
  assert.deepEqual(replicasOf(2, 5, 3), [2, 1, 5]);
  assert.deepEqual(shardsOf(1, 3, 2), [1, 2]);
  assert.deepEqual(shardsOf(3, 3, 2), [1, 3]);
  for (let of = 1; of <= 7; of++) {
    for (let shard = 1; shard <= of; shard++) {
      const replicas = replicasOf(shard, of, 2);
      assert.equal(new Set(replicas).size, Math.min(of, 2));
      for (const each of replicas) {
        assert(shardsOf(each, of, 2).includes(shard));
      }
    }
  }
});

Deno.test("shardOf() is stable and does not look at case", () => {
  assert.equal(shardOf("STICK_0", 3), 2);
  assert.equal(shardOf("stick_0", 3), 2);
  assert.equal(shardOf("", 1_000_000), 0x811c9dc5 % 1_000_000 + 1);
  const shards = Array.from({ length: 300 }, (_, i) => shardOf(`n${i}`, 3));
  for (const shard of [1, 2, 3]) {
    assert(shards.filter((each) => each === shard).length > 60);
  }
});

Deno.test("two sets of coordinators share no topic and no user", () => {
  const plain = new TopicNames(3, "");
  const other = new TopicNames(3, "other");
  assert.equal(plain.log(2), "coordinator/3/2/log");
  assert.equal(other.log(2), "coordinator/other/3/2/log");
  assert.equal(coordinatorUser(1, 3, ""), "coordinator-3-1");
  assert.equal(coordinatorUser(1, 3, "other"), "coordinator-other-3-1");
});
