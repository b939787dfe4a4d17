/**
 * Many rounds: on one stage for a while, so that data grows old, then on a new
 * one.
 *
 * @module
 */

import { BadLines } from "./link_faults.ts";
import { countKills, makePlan } from "./plan.ts";
import { playRound, type RoundOptions, type RoundReport } from "./round.ts";
import { Stage } from "./stage.ts";

/** What a campaign does. */
export interface CampaignOptions {
  rounds: number;
  /** Of the first round; the next has the next number. */
  seed: number;
  /** Whether apps are killed too; `mixed`: in every second stretch of a stage. */
  appsToo: boolean | "mixed";
  /** Whether lines go bad, too. @default {false} */
  links?: boolean;
  /** Rounds on one stage. @default {10} */
  roundsPerStage?: number;
  /** Told of each round, as a line of text. */
  onRound?: (line: string) => void;
}

/** The sums of a campaign. */
export interface CampaignReport {
  rounds: number;
  publishes: number;
  takes: number;
  kills: number;
  /** What befell the lines. */
  linkFaults: number;
}

/**
 * Plays rounds until one fails or all are played.
 *
 * @throws {Error} With the seed and the failures of the first round that failed.
 */
export async function runCampaign(
  options: CampaignOptions,
): Promise<CampaignReport> {
  const { rounds, roundsPerStage = 10 } = options;
  const report = { rounds: 0, publishes: 0, takes: 0, kills: 0, linkFaults: 0 };
  for (let first = 0; first < rounds; first += roundsPerStage) {
    const count = Math.min(roundsPerStage, rounds - first);
    const appsToo = options.appsToo === "mixed"
      ? (first / roundsPerStage) % 2 === 1
      : options.appsToo;
    await playStage({ ...options, appsToo }, first, count, report);
  }
  return report;
}

async function playStage(
  options: CampaignOptions & { appsToo: boolean },
  first: number,
  count: number,
  report: CampaignReport,
): Promise<void> {
  await using lines = options.links ? new BadLines(options.seed + first) : null;
  await using stage = await Stage.open({
    linkThrough: lines?.linkThrough,
    directThrough: lines ? (to) => lines.directThrough(to) : undefined,
  });
  let last: RoundReport | null = null;
  for (let round = first; round < first + count; round++) {
    const seed = options.seed + round;
    const plan = makePlan({ seed, appsToo: options.appsToo });
    const startMs = performance.now();
    stage.round = round;
    const how = `--rounds ${round - first + 1} --seed ${options.seed + first}` +
      (options.appsToo ? " --apps-too" : " --apps-alive") +
      (options.links ? " --kinds links" : "");
    last = await playNamed(stage, plan, how, {
      meanwhile: (startMs) => lines?.play(seed, startMs) ?? Promise.resolve(),
    });
    report.rounds++;
    report.kills += countKills(plan);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    options.onRound?.(
      `round ${round} seed ${seed}: ${countKills(plan)} kills, ${seconds} s, ` +
        tellSums(last),
    );
  }
  report.linkFaults += lines?.faults ?? 0;
  if (last === null) return;
  const { attempts, tallies } = last.verdict;
  report.publishes += attempts.acknowledged + attempts.unknown;
  report.takes += tallies.reduce((sum, tally) => sum + tally.taken, 0);
}

/** A round whose failure, of whatever kind, names what repeats it. */
async function playNamed(
  stage: Stage,
  plan: ReturnType<typeof makePlan>,
  how: string,
  roundOptions: RoundOptions,
): Promise<RoundReport> {
  const failures: string[] = [];
  try {
    const report = await playRound(stage, plan, roundOptions);
    if (report.failures.length === 0) return report;
    failures.push(...report.failures);
  } catch (error) {
    failures.push(`${error}`);
  }
  throw new Error(
    [`The round of seed ${plan.seed} failed (${how})`, ...failures].join("\n"),
  );
}

function tellSums({ verdict }: RoundReport): string {
  const { acknowledged, unknown } = verdict.attempts;
  const taken = verdict.tallies.map((tally) => tally.taken).join("+");
  const again = verdict.tallies.reduce((sum, tally) => sum + tally.again, 0);
  return `so far ${acknowledged} acknowledged, ${unknown} unknown, ` +
    `${taken} taken, ${again} again and marked`;
}
