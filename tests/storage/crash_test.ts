/**
 * The process dies at any commit, also in the middle of one: what is found at
 * the next opening is the state after some commit, at or behind the last one
 * that was confirmed.
 */

import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { MomError } from "../../protocol/errors.ts";
import { apply, checkOpened, Model, type Step, step } from "./_model.ts";
import { openStore, tempFolder } from "./_support.ts";
import { FaultyKv } from "./_faulty_kv.ts";

interface Life {
  readonly steps: readonly Step[];
  /** How many commits get through. */
  readonly commits: number;
  /** How many operations of the next one do. */
  readonly operations: number;
}

/**
 * Lives of one store, each ended by a crash.
 *
 * @returns How many operations the last commit that failed had, 0 if none did.
 */
async function run(folder: string, lives: readonly Life[]): Promise<number> {
  let lastOperations = 0;
  let model = new Model();
  const snapshots = new Map<number, Model>([[0, model.copy()]]);
  let confirmed = 0;
  for (const life of lives) {
    const faults = new FaultyKv(life.commits, life.operations);
    const store = await openStore(folder, {
      openKv: (path) => faults.open(path),
      onFailed: () => {},
      onSeal: () => {
        const position = store.openPosition;
        snapshots.set(position, model.copy());
        return () => confirmed = store.position;
      },
    });
    assert.ok(store.position >= confirmed, "a confirmed commit is gone");
    const found = snapshots.get(store.position);
    assert.ok(found !== undefined, `position ${store.position}`);
    model = found.copy();
    try {
      await checkOpened(store, model);
      for (const one of life.steps) await apply(store, model, one);
    } catch (error) {
      if (!(error instanceof MomError) || !faults.hasCrashed) throw error;
    }
    if (faults.hasCrashed) lastOperations = faults.lastOperations;
    faults.crashNow();
    await store.close();
  }
  return lastOperations;
}

/** Small and large values, a tail that grows, trims that empty values, pages, blobs. */
const SCENARIO: readonly Step[] = [
  { kind: "createLog" },
  { kind: "createLog" },
  { kind: "append", n: 0, count: 3, size: 30_000, times: 20 },
  { kind: "put", table: 1, key: 1, size: 100 },
  { kind: "committed" },
  { kind: "append", n: 1, count: 1, size: 700, times: 2 },
  { kind: "committed" },
  { kind: "append", n: 0, count: 1, size: 500, times: 2 },
  { kind: "committed" },
  { kind: "trim", n: 0, share: 0.7 },
  { kind: "append", n: 1, count: 1, size: 300, times: 1 },
  { kind: "put", table: 1, key: 1, size: 3 },
  { kind: "committed" },
  { kind: "blob", n: 1, size: 100_000 },
  { kind: "put", table: 2, key: 1, size: 130_000 },
  { kind: "committed" },
  { kind: "put", table: 2, key: 1, size: 10 },
  { kind: "trim", n: 1, share: 1 },
  { kind: "dropLog", n: 0 },
  { kind: "committed" },
  { kind: "append", n: 0, count: 2, size: 50, times: 3 },
  { kind: "committed" },
];

/** What comes after the crash: it must not mix with what the crash left. */
const AFTER: readonly Step[] = [
  { kind: "createLog" },
  { kind: "append", n: 0, count: 1, size: 20, times: 4 },
  { kind: "append", n: 1, count: 2, size: 40, times: 4 },
  { kind: "committed" },
];

Deno.test("a store opens at a commit whatever front part of one it died in", async () => {
  let cases = 0;
  for (let commits = 0;; commits++) {
    let length = 1;
    for (let operations = 0; operations <= length; operations++) {
      await using folder = await tempFolder();
      length = await run(folder.path, [
        { steps: SCENARIO, commits, operations },
        { steps: AFTER, commits: Infinity, operations: 0 },
        { steps: [], commits: Infinity, operations: 0 },
      ]);
      cases++;
      if (length === 0) {
        assert.ok(cases > 40, `only ${cases} cases`);
        return;
      }
    }
    assert.ok(commits < 60, "the scenario never ends");
  }
});

Deno.test("a store that dies within any commit opens at a commit", async () => {
  const life = fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 25 })
      .map((steps): readonly Step[] => [{ kind: "createLog" }, ...steps]),
    commits: fc.oneof(fc.nat(6), fc.nat(30), fc.nat(300)),
    operations: fc.nat(20),
  });
  const last = { steps: [], commits: Infinity, operations: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(life, { minLength: 1, maxLength: 6 }),
      async (lives) => {
        await using folder = await tempFolder();
        await run(folder.path, [...lives, last]);
      },
    ),
    {
      numRuns: Number(Deno.env.get("MOM_STORE_RUNS") ?? "20"),
      endOnFailure: true,
    },
  );
});
