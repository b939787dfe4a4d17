/**
 * The writing half of an app under test.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import type { Mom } from "../../daemon/client.ts";
import { pause } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import type { WriteJob } from "./app_protocol.ts";
import type { NoteBook } from "./notes.ts";

/** Does a job: notes each attempt before, each outcome after. Resolves when all have one. */
export async function write(
  mom: Mom,
  job: WriteJob,
  book: NoteBook,
): Promise<void> {
  const random = new Random(job.seed);
  const underway = new Set<Promise<void>>();
  const startMs = performance.now();
  for (let counter = 0; counter < job.count; counter++) {
    const publishing = publishOne(mom, job, counter, random, book)
      .finally(() => underway.delete(publishing));
    underway.add(publishing);
    if (underway.size >= job.window) await Promise.race(underway);
    const dueMs = startMs + (counter / job.count) * job.durationMs;
    // Bursts, not a metronome: batches of more than one want to come about.
    const lead = dueMs - performance.now();
    if (lead > 0 && random.chance(0.15)) await pause(lead);
  }
  await Promise.all(underway);
}

async function publishOne(
  mom: Mom,
  job: WriteJob,
  counter: number,
  random: Random,
  book: NoteBook,
): Promise<void> {
  const { writer } = job;
  const topic = random.pick(job.topics);
  const padding = new Uint8Array(drawSize(random)).fill(counter & 0xff);
  const level = random.chance(job.brokerLevelShare) ? "broker" : undefined;
  const atMs = Date.now();
  book.write({ kind: "attempt", writer, counter, topic, atMs });
  try {
    const value = { w: writer, c: counter, p: padding };
    const receipt = await mom.publish(topic, value, { level });
    const { offset } = receipt;
    book.write({
      kind: "receipt",
      writer,
      counter,
      level: receipt.level,
      offset,
      atMs: Date.now(),
    });
  } catch (error) {
    const code = error instanceof MomError ? error.code : String(error);
    book.write({ kind: "failure", writer, counter, code });
    if (!(error instanceof MomError) || !EXPECTED.includes(error.code)) {
      const text = `publish ${writer}#${counter} failed: ${error}`;
      book.write({ kind: "broken", text });
    }
  }
}

/** What may befall a publish while broker and daemons are killed. */
const EXPECTED: readonly string[] = ["daemon_unavailable", "outcome_unknown"];

/** Mostly small, some of several segments, few larger than a value of the store. */
function drawSize(random: Random): number {
  const draw = random.fraction();
  if (draw < 0.9) return random.integer(0, 300);
  if (draw < 0.997) return random.integer(301, 20_000);
  return random.integer(60_000, 200_000);
}
