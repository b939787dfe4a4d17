/**
 * A disaster between two calm rounds on one stage: what came to rest before it
 * must stay as it was, and after it all must be as if there had been none.
 *
 * @module
 */

import { Random } from "../helpers/random.ts";
import { type DisasterKind, strike } from "./disasters.ts";
import { type Excuse, NO_EXCUSE } from "./judge.ts";
import { makePlan } from "./plan.ts";
import { playRound, type RoundReport } from "./round.ts";
import { Stage } from "./stage.ts";

const PUBLISHES = 90;
const DURATION_MS = 600;
/** What the calm rounds take. */
const CALM_MS = 150;

/** Plays the three rounds; the report of the last covers all. */
export async function playDisaster(
  kind: DisasterKind,
  seed: number,
): Promise<RoundReport> {
  await using stage = await Stage.open();
  const random = new Random(seed);
  let excuse: Excuse = NO_EXCUSE;
  let report: RoundReport | null = null;
  for (const round of [0, 1, 2]) {
    const isStruck = round === 1;
    const durationMs = isStruck ? DURATION_MS : CALM_MS;
    const plan = makePlan({
      seed: seed + round,
      appsToo: false,
      kills: false,
      publishes: isStruck ? PUBLISHES : PUBLISHES / 3,
      durationMs,
    });
    stage.round = round;
    const { cluster } = stage;
    report = await playRound(stage, plan, {
      ...isStruck && {
        meanwhile: async () => {
          excuse = await strike(kind, { cluster, random, durationMs });
        },
      },
      ...round > 0 && { excuse: () => excuse },
    });
    if (report.failures.length > 0) break;
  }
  if (report === null) throw new Error("No round was played");
  return report;
}

/**
 * Plays disasters until one round fails or all are played.
 *
 * @param onRound Told of each, as a line of text.
 * @throws {Error} With what repeats the round that failed.
 */
export async function runDisasters(
  kinds: readonly DisasterKind[],
  options: {
    rounds: number;
    seed: number;
    onRound?: (line: string) => void;
  },
): Promise<void> {
  for (let round = 0; round < options.rounds; round++) {
    const kind = kinds[round % kinds.length]!;
    const seed = options.seed + round;
    const { failures, verdict } = await playDisaster(kind, seed)
      .catch((error) => ({ failures: [`${error}`], verdict: null }));
    if (failures.length > 0) {
      const how = `--kinds ${kind} --rounds 1 --seed ${seed}`;
      throw new Error(
        [`The ${kind} of seed ${seed} failed (${how})`, ...failures].join("\n"),
      );
    }
    const again = verdict?.tallies.reduce((sum, { again }) => sum + again, 0);
    options.onRound?.(
      `${kind} ${seed}: ${verdict?.attempts.acknowledged} acknowledged, ` +
        `${again} taken again, excused`,
    );
  }
}
