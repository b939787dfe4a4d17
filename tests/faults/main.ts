/**
 * `deno task faults --rounds N --seed S [--apps-too] [--kinds links]`: kills broker, daemons and
 * apps at random moments, again and again, and tells what was lost, doubled or
 * out of order: nothing, or exit code 1 and the seed that shows it.
 *
 * `deno task faults --kinds restore,lost-disk,clone,purge --rounds N`: disasters
 * in place of kills, one a round.
 *
 * `deno task faults --coordinator [--rounds 100] [--seed 1]`: the counter of
 * tests/coordinator/counter.ts, a seed a round, coordinators struck all the time.
 *
 * @module
 */

import { runCounters } from "../coordinator/counters.ts";
import { numberFlag, readFlags } from "../helpers/flags.ts";
import { endWithPrograms } from "../process/program.ts";
import { runCampaign } from "./campaign.ts";
import { runDisasters } from "./disaster_round.ts";
import { type DisasterKind, DISASTERS } from "./disasters.ts";

const USAGE = "usage: deno task faults [--rounds 500] [--seed N] " +
  "[--apps-too | --apps-alive] [--rounds-per-stage 10]\n" +
  "  [--kinds links,restore,lost-disk,clone,purge] | --coordinator";

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** `links` goes along with kills; the others are rounds of their own. */
function toDisasters(names: readonly string[]): DisasterKind[] {
  return names.filter((name) => name !== "links").map((name) => {
    const kind = DISASTERS.find((one) => one === name);
    if (kind !== undefined) return kind;
    const all = ["links", ...DISASTERS].join(", ");
    throw new Error(`No kind "${name}": there are ${all}`);
  });
}

async function run(): Promise<number> {
  const values = readFlags(USAGE, {
    coordinator: { type: "boolean" },
    rounds: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    "apps-too": { type: "boolean" },
    "apps-alive": { type: "boolean" },
    kinds: { type: "string" },
    "rounds-per-stage": { type: "string", default: "10" },
  });
  const appsToo = values["apps-too"] ||
    (values["apps-alive"] ? false : "mixed");
  const rounds = numberFlag(
    USAGE,
    "rounds",
    values.rounds ?? (values.coordinator ? "100" : "500"),
    1,
  );
  const seed = numberFlag(USAGE, "seed", values.seed, 0);
  const perStage = values["rounds-per-stage"];
  const kinds = values.kinds?.split(",") ?? [];
  try {
    if (values.coordinator) {
      await runCounters({ rounds, seed, onRound: say });
      say(`${rounds} counters: all exact`);
      return 0;
    }
    const disasters = toDisasters(kinds);
    if (disasters.length > 0) {
      await runDisasters(disasters, { rounds, seed, onRound: say });
      say(
        `${rounds} disasters of ${disasters.join()}: nothing beyond what they explain`,
      );
      return 0;
    }
    const report = await runCampaign({
      rounds,
      seed,
      roundsPerStage: numberFlag(USAGE, "rounds-per-stage", perStage, 1),
      appsToo,
      links: kinds.includes("links"),
      onRound: say,
    });
    say(
      `${report.rounds} rounds, ${report.kills} kills, ${report.publishes} ` +
        `publishes, ${report.takes} takes: 0 lost, 0 doubled, 0 out of order`,
    );
    return 0;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

if (import.meta.main) {
  endWithPrograms();
  Deno.exit(await run());
}
