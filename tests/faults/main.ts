/**
 * `deno task faults --rounds N --seed S [--apps-too] [--kinds links]`: kills broker, daemons and
 * apps at random moments, again and again, and tells what was lost, doubled or
 * out of order: nothing, or exit code 1 and the seed that shows it.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { runCampaign } from "./campaign.ts";

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

async function run(): Promise<number> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      rounds: { type: "string", default: "500" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      "apps-too": { type: "boolean", default: false },
      "apps-alive": { type: "boolean", default: false },
      kinds: { type: "string", default: "" },
      "rounds-per-stage": { type: "string", default: "10" },
    },
  });
  const appsToo = values["apps-too"] ||
    (values["apps-alive"] ? false : "mixed");
  try {
    const report = await runCampaign({
      rounds: Number(values.rounds),
      seed: Number(values.seed),
      roundsPerStage: Number(values["rounds-per-stage"]),
      appsToo,
      links: values.kinds.split(",").includes("links"),
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

if (import.meta.main) Deno.exit(await run());
