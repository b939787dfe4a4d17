import assert from "node:assert/strict";
import { runCampaign } from "./campaign.ts";

/** Another seed each time; a failure names the seed of its round. */
const seed = Date.now() % 1_000_000;
const ROUNDS = 10;

for (const appsToo of [false, true]) {
  const killed = appsToo ? "broker, daemons and apps" : "broker and daemons";
  Deno.test(`nothing acknowledged is lost, doubled or reordered while ${killed} are killed, ${ROUNDS} rounds`, async () => {
    const report = await runCampaign({
      rounds: ROUNDS,
      seed: appsToo ? seed + 1_000_000 : seed,
      appsToo,
    });
    assert.equal(report.rounds, ROUNDS);
    assert.ok(report.kills >= 3 * ROUNDS, `only ${report.kills} kills`);
    assert.ok(report.publishes >= 1_000 * ROUNDS);
  });
}
