/**
 * Runs many seeds, or one.
 *
 * ```sh
 * deno task sim --seeds 2000 --seed 1
 * deno task sim --seed 17 --told
 * ```
 *
 * @module
 */

import { numberFlag, readFlags } from "../helpers/flags.ts";
import { simulate } from "./simulate.ts";

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** How many failures of a seed are told. */
const SHOWN_MAX = 12;

const USAGE = "usage: deno task sim [--seeds 2000] [--seed 1] [--told] " +
  "[--failures 5]";

const flags = readFlags(USAGE, {
  seed: { type: "string", default: "1" },
  seeds: { type: "string", default: "1" },
  told: { type: "boolean" },
  failures: { type: "string", default: "5" },
});
const first = numberFlag(USAGE, "seed", flags.seed, 0);
const count = numberFlag(USAGE, "seeds", flags.seeds, 1);
const most = numberFlag(USAGE, "failures", flags.failures, 1);
const isTold = flags.told;

let failed = 0;
let events = 0;
let takes = 0;
let played = 0;
const startMs = performance.now();
for (let seed = first; seed < first + count && failed < most; seed++) {
  const report = await simulate(seed, { isTold });
  played++;
  events += report.events;
  takes += report.takes;
  for (const line of report.lines) say(line);
  if (report.failures.length > 0 || count === 1) {
    say(
      `seed ${seed}: hash ${report.hash}, ${report.publishes} publishes, ` +
        `${report.takes} takes, ${report.troubles} troubles, ${report.events} events`,
    );
  }
  if (report.failures.length === 0) continue;
  failed++;
  for (const line of report.failures.slice(0, SHOWN_MAX)) {
    say(`  ${line.slice(0, 600)}`);
  }
  say(`  replay: deno task sim --seed ${seed}`);
}
const seconds = (performance.now() - startMs) / 1000;
say(
  `${played} seeds, ${failed} failed, ${events} events, ${takes} takes, ` +
    `${seconds.toFixed(1)} s, ${
      (seconds * 1000 / played).toFixed(1)
    } ms a seed`,
);
if (failed > 0) Deno.exit(1);
