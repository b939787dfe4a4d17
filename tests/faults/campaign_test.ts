import assert from "node:assert/strict";
import { type CampaignReport, runCampaign } from "./campaign.ts";

/** Another seed each time; a failure names the seed of its round. */
const seed = Date.now() % 1_000_000;
const ROUNDS = 5;

function play(appsToo: boolean): Promise<CampaignReport> {
  const first = appsToo ? seed + 1_000_000 : seed;
  return runCampaign({ rounds: ROUNDS, seed: first, appsToo });
}

// Side by side, each with a system of its own: much of a round is waiting.
Deno.test(
  `nothing acknowledged is lost, doubled or reordered while broker, daemons and in half of ${
    2 * ROUNDS
  } rounds apps are killed`,
  async () => {
    const ends = await Promise.allSettled([play(false), play(true)]);
    for (const end of ends) {
      if (end.status === "rejected") throw end.reason;
      const { rounds, kills, publishes } = end.value;
      assert.equal(rounds, ROUNDS);
      assert.ok(kills >= 3 * ROUNDS, `only ${kills} kills`);
      assert.ok(publishes >= 1_000 * ROUNDS);
    }
  },
);
