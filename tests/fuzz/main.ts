/**
 * `deno task fuzz --frames 10000000 --seed 7`: sends so many frames that are not what
 * they should be to codec, broker, daemon and apps. The seed is printed, and repeats
 * the run; a failure names the seed of its round and ends with code 1.
 *
 * @module
 */

import { numberFlag, readFlags } from "../helpers/flags.ts";
import { runFuzz } from "./campaign.ts";

const USAGE = "usage: deno task fuzz [--frames 200000] [--seed N]";

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Runs it; gives the exit code. */
async function run(): Promise<number> {
  const values = readFlags(USAGE, {
    frames: { type: "string", default: "200000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  });
  const frames = numberFlag(USAGE, "frames", values.frames, 1);
  const seed = numberFlag(USAGE, "seed", values.seed, 0);
  say(`seed ${seed}`);
  const beganMs = performance.now();
  try {
    const report = await runFuzz({
      frames,
      seed,
      onProgress: (done) => {
        if (done % 1_000_000 < 50_000) say(`${done} frames`);
      },
    });
    const seconds = Math.round((performance.now() - beganMs) / 1_000);
    const errors = [...report.errors].map(([code, n]) => `${code} ${n}`);
    say(
      `${report.frames} frames in ${seconds} s, ${report.accepted} of the ` +
        `codec's accepted; answers: ${errors.join(", ")}`,
    );
    return 0;
  } catch (error) {
    say(Deno.inspect(error));
    return 1;
  }
}

if (import.meta.main) Deno.exit(await run());
