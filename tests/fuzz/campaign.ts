/**
 * Many frames against all that takes frames: the codec, broker and daemon from
 * opening to store, a daemon's link, and the app's side of the wire. Equal seeds send equal frames.
 *
 * @module
 */

import { Random } from "../helpers/random.ts";
import { drawMessages, type Fields } from "./arbitraries.ts";
import { attackClients, HOSTILE_EPOCH } from "./client_attack.ts";
import { checkContent, checkCutting } from "./codec_target.ts";
import { bendContent, bendFields, contentOf } from "./mutations.ts";
import { attackLinks } from "./link_attack.ts";
import { attackServer } from "./server_attack.ts";
import { Stage, type Victim } from "./stage.ts";

/** How much, and which. */
export interface FuzzOptions {
  readonly frames: number;
  readonly seed: number;
  /** Hears how far it is. */
  onProgress?(done: number): void;
}

/** What was done. */
export interface FuzzReport {
  frames: number;
  /** Of those that the codec saw: how many were messages all the same. */
  accepted: number;
  /** Answers of broker and daemon, by code. */
  readonly errors: Map<string, number>;
}

/** Frames from one pool of messages. */
const ROUND = 50_000;
const POOL = 2_000;
/** Shares of a round; the codec has the rest. */
const SHARES = { broker: 0.22, daemon: 0.2 };
/** To apps, and to daemons over their links, in each fourth round: they wait a lot. */
const CLIENT_FRAMES = 2_400;
const LINK_FRAMES = 2_400;

/** Runs it. Fails at the first frame that does what none may do. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const report: FuzzReport = { frames: 0, accepted: 0, errors: new Map() };
  for (let round = 0; report.frames < options.frames; round++) {
    const frames = Math.min(ROUND, options.frames - report.frames);
    const isFirst = round % 4 === 0;
    await runRound(frames, options.seed + round, report, isFirst);
    options.onProgress?.(report.frames);
  }
  return report;
}

async function runRound(
  frames: number,
  seed: number,
  report: FuzzReport,
  isFirst: boolean,
): Promise<void> {
  const random = new Random(seed);
  try {
    const pool = drawMessages(POOL, seed, HOSTILE_EPOCH);
    // They wait most of the time, so they do it beside the others.
    const clients = isFirst
      ? attackClients({ frames: CLIENT_FRAMES, random: random.fork(), pool })
      : Promise.resolve(0);
    const links = isFirst
      ? attackLinks({ frames: LINK_FRAMES, random: random.fork(), pool })
      : Promise.resolve(0);
    await using stage = await Stage.open();
    for (const victim of ["broker", "daemon"] as const) {
      await attack(stage, victim, frames, seed, report);
    }
    const rest = Math.ceil(frames * (1 - SHARES.broker - SHARES.daemon));
    attackCodec(rest, pool, random, report);
    report.frames += await clients + await links;
  } catch (cause) {
    throw new Error(`It failed with --seed ${seed}`, { cause });
  }
}

async function attack(
  stage: Stage,
  victim: Victim,
  frames: number,
  seed: number,
  report: FuzzReport,
): Promise<void> {
  const { epoch } = stage.broker.status().store;
  const { sent, errors } = await attackServer({
    stage,
    victim,
    frames: frames * SHARES[victim],
    random: new Random(seed),
    pool: drawMessages(POOL, seed, epoch),
  });
  report.frames += sent;
  for (const [code, count] of errors) {
    report.errors.set(code, (report.errors.get(code) ?? 0) + count);
  }
  await stage.check();
}

function attackCodec(
  frames: number,
  pool: readonly Fields[],
  random: Random,
  report: FuzzReport,
): void {
  let batch: Uint8Array[] = [];
  for (let n = 0; n < frames; n++) {
    const fields = random.pick(pool);
    const bent = random.chance(0.3) ? fields : bendFields(fields, random);
    let content: Uint8Array = contentOf(bent);
    if (random.chance(0.3)) content = bendContent(content, random);
    if (checkContent(content)) report.accepted++;
    batch.push(content);
    if (batch.length < 20) continue;
    checkCutting(batch, random);
    batch = [];
  }
  report.frames += frames;
}
