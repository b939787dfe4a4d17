import assert from "node:assert/strict";
import { Cluster } from "../process/cluster.ts";
import { runCounter } from "./counter.ts";
import { findImpossible, type Hold } from "./history.ts";

const SEEDS = [1, 2, 3, 4, 5];

Deno.test("16 clients count to 3,200 exactly while coordinators are killed and paused", async () => {
  await using cluster = await Cluster.start({
    machines: ["north", "east", "south"],
  });
  const reports = await Promise.all(
    SEEDS.map((seed) =>
      runCounter({
        cluster,
        seed,
        leaseMs: 400,
        strikesMax: 6,
        isBrisk: true,
      })
    ),
  );
  for (const { value, kills, pauses } of reports) {
    assert.equal(value, 3_200);
    assert(kills + pauses > 0);
  }
});

const HOLD: Hold = {
  client: "a",
  token: 1,
  askedMs: 0,
  gotMs: 1,
  leftMs: 2,
  goneMs: 3,
};

Deno.test("findImpossible() finds what cannot have been", () => {
  const later: Hold = {
    client: "b",
    token: 2,
    askedMs: 0,
    gotMs: 2.5,
    leftMs: 4,
    goneMs: 5,
  };
  assert.deepEqual(findImpossible([later, HOLD]), []);
  const table: Partial<Hold>[] = [
    { token: 1 },
    { gotMs: 1.5 },
    { gotMs: 0.5, leftMs: 0.7, goneMs: 0.9 },
    { askedMs: 6, gotMs: 7, leftMs: 8, goneMs: 9, token: 0.5 },
  ];
  for (const wrong of table) {
    const found = findImpossible([HOLD, { ...later, ...wrong }]);
    assert.notDeepEqual(found, [], JSON.stringify(wrong));
  }
  const backwards = findImpossible([
    { ...HOLD, token: 2 },
    { ...HOLD, token: 1, askedMs: 4, gotMs: 5, leftMs: 6, goneMs: 7 },
  ]);
  assert.match(backwards.join(), /a got 1 after 2/);
});
