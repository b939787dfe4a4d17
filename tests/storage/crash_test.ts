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
  steps: Step[];
  /** How many commits get through. */
  commits: number;
  /** How much of the next one does. */
  share: number;
}

/** Lives of one store, each ended by a crash. */
async function run(folder: string, lives: readonly Life[]): Promise<void> {
  let model = new Model();
  const snapshots = new Map<number, Model>([[0, model.copy()]]);
  let confirmed = 0;
  for (const life of lives) {
    const faults = new FaultyKv(life.commits, life.share);
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
    faults.crashNow();
    await store.close();
  }
}

Deno.test("a store that dies within any commit opens at a commit", async () => {
  const life = fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 25 })
      .map((steps): Step[] => [{ kind: "createLog" }, ...steps]),
    commits: fc.oneof(fc.nat(30), fc.nat(400)),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const last = { steps: [], commits: Infinity, share: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(life, { minLength: 1, maxLength: 6 }),
      async (lives) => {
        await using folder = await tempFolder();
        await run(folder.path, [...lives, last]);
      },
    ),
    {
      numRuns: Number(Deno.env.get("MOM_STORE_RUNS") ?? "25"),
      endOnFailure: true,
    },
  );
});
