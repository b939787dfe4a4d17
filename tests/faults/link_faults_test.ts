import assert from "node:assert/strict";
import { runCampaign } from "./campaign.ts";

/** Another seed each time; a failure names the seed of its round. */
const seed = 2_000_000 + Date.now() % 1_000_000;
const ROUNDS = 2;

Deno.test(`nothing acknowledged is lost, doubled or reordered while lines are slow, cut and silent, ${ROUNDS} rounds`, async () => {
  const report = await runCampaign({
    rounds: ROUNDS,
    seed,
    appsToo: seed % 2 === 0,
    links: true,
  });
  assert.equal(report.rounds, ROUNDS);
  assert.ok(report.linkFaults >= 6 * ROUNDS, `${report.linkFaults} faults`);
  assert.ok(report.publishes >= 1_000 * ROUNDS);
});
