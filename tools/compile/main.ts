/**
 * `deno task compile [--target TRIPLE] [--output DIR] [--allow-net=LIST]
 * [--allow-read=LIST] [--allow-write=LIST] [--check]`: builds `mom-broker`,
 * `mom-daemon` and `mom-shell`.
 *
 * Ends with 1 and one line when it cannot.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { build, BuildError } from "./compile.ts";

const ROOT = new URL("../../", import.meta.url).pathname.slice(0, -1);

function write(stream: typeof Deno.stdout, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

function readArgs() {
  const text = { type: "string" } as const;
  return parseArgs({
    args: Deno.args,
    options: {
      target: text,
      output: text,
      "allow-net": text,
      "allow-read": text,
      "allow-write": text,
      check: { type: "boolean", default: false },
    },
  }).values;
}

async function run(args: ReturnType<typeof readArgs>): Promise<void> {
  const { target, output } = args;
  await build({
    root: ROOT,
    folder: output ??
      (target === undefined ? `${ROOT}/dist` : `${ROOT}/dist/${target}`),
    target,
    scope: {
      net: args["allow-net"],
      read: args["allow-read"],
      write: args["allow-write"],
    },
    base: Deno.env.get("DENORT_BIN"),
    checkOnly: args.check,
    onLine: (line) => write(Deno.stdout, line),
  });
}

let args: ReturnType<typeof readArgs>;
try {
  args = readArgs();
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  write(Deno.stderr, `error: ${error.message}`);
  Deno.exit(2);
}
try {
  await run(args);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  write(Deno.stderr, `error: ${error.message}`);
  Deno.exit(1);
}
