/** Every rule of the design, broken on purpose, is noticed. */

import assert from "node:assert/strict";
import { type Canary, RULES } from "./canaries.ts";
import { Patches } from "./patches.ts";
import { simulate } from "./simulate.ts";

/** In so many worlds a broken rule has to show. */
const SEEDS_MAX = 100;

/** The first seed whose world does not pass; `null` if all do. */
async function findVictim(canary: Canary): Promise<number | null> {
  const { meddle, focus = null, seed: likely = 1 } = canary;
  for (let n = 0; n < SEEDS_MAX; n++) {
    using patches = new Patches();
    const { failures } = await simulate(likely + n, {
      meddle: (world) => {
        world.focus = focus;
        meddle(patches, world);
      },
    });
    if (failures.length > 0) return likely + n;
  }
  return null;
}

for (const { rule, canaries = [], tests = [] } of RULES) {
  Deno.test(`rule ${rule}: breaking it is noticed`, async (t) => {
    for (const canary of canaries) {
      await t.step(canary.broken, async () => {
        assert.notEqual(await findVictim(canary), null);
      });
    }
    for (const test of tests) {
      const [file, name] = test.split(": ");
      const text = await Deno.readTextFile(
        new URL(`../../${file}`, import.meta.url),
      );
      assert.ok(text.includes(name), `${file} has no test "${name}"`);
    }
    assert.ok(canaries.length + tests.length > 0, "nothing holds it");
  });
}
