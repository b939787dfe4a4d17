/**
 * `deno task test [--junit-path=FILE]`: all tests, in lanes. Any other argument is
 * one for `deno test`: then what is asked for runs one file after another.
 *
 * Ends as `deno test` does, with the worst of all lanes.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { LANES } from "./lanes.ts";
import { endAll, runLanes, runOne } from "./run.ts";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);
const [, ...COMMAND] = config.tasks["test:serial"].split(" ");
/** Not one that goes to stdout. */
const REPORT = /^--junit-path=(?!-$)(.+)$/;

function write(text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) {
    bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  }
}

// Whoever ends this ends the tests.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => endAll(signal));
}

const [first, ...others] = Deno.args;
const report = REPORT.exec(first ?? "")?.[1];
const isAll = others.length === 0 &&
  (first === undefined || report !== undefined);
Deno.exit(
  isAll
    ? await runLanes({
      root: ROOT,
      command: COMMAND,
      lanes: LANES,
      report,
      write,
    })
    : await runOne(ROOT, [...COMMAND, ...Deno.args]),
);
