/**
 * A store against a plain model of it, under random operations, with opening
 * again in between.
 */

import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { apply, checkOpened, Model, type Step, step } from "./_model.ts";
import { openStore, tempFolder } from "./_support.ts";

async function run(folder: string, lives: readonly Step[][]): Promise<void> {
  const model = new Model();
  let store = await openStore(folder);
  try {
    await apply(store, model, { kind: "createLog" });
    for (const steps of lives) {
      for (const one of steps) await apply(store, model, one);
      await store.close();
      const { position } = store;
      store = await openStore(folder);
      assert.equal(store.position, position);
      await checkOpened(store, model);
    }
  } finally {
    await store.close();
  }
}

Deno.test("a store equals its model under random operations and opening again", async () => {
  const steps = fc.array(step, { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(steps, { minLength: 1, maxLength: 4 }),
      async (lives) => {
        await using folder = await tempFolder();
        await run(folder.path, lives);
      },
    ),
    {
      numRuns: Number(Deno.env.get("MOM_STORE_RUNS") ?? "20"),
      endOnFailure: true,
    },
  );
});
