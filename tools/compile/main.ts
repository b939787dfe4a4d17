/**
 * `deno task compile [--target TRIPLE] [--output DIR] [--allow-net=LIST]
 * [--allow-read=LIST] [--allow-write=LIST] [--check]`: builds `mom-broker`,
 * `mom-daemon` and `mom-shell`.
 *
 * Ends with 1 and one line when it cannot.
 *
 * @module
 */

import { parseArgs } from "../../deps/cli.ts";
import { build, BuildError } from "./compile.ts";

const ROOT = new URL("../../", import.meta.url).pathname.slice(0, -1);

function write(stream: typeof Deno.stdout, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

class UsageError extends Error {}

/** @throws {UsageError} */
function readArgs() {
  const args = parseArgs(Deno.args, {
    string: ["target", "output", "allow-net", "allow-read", "allow-write"],
    boolean: ["check"],
    unknown: (arg) => {
      throw new UsageError(`${arg}: there is no such flag`);
    },
  });
  const text = (name: string) => {
    const value = args[name];
    if (value === undefined) return undefined;
    if (typeof value === "string" && value !== "") return value;
    throw new UsageError(`--${name}: needs a value`);
  };
  return {
    target: text("target"),
    output: text("output"),
    scope: {
      net: text("allow-net"),
      read: text("allow-read"),
      write: text("allow-write"),
    },
    checkOnly: args.check === true,
  };
}

async function run(args: ReturnType<typeof readArgs>): Promise<void> {
  const { target, output, scope, checkOnly } = args;
  await build({
    root: ROOT,
    folder: output ??
      (target === undefined ? `${ROOT}/dist` : `${ROOT}/dist/${target}`),
    target,
    scope,
    base: Deno.env.get("DENORT_BIN"),
    checkOnly,
    onLine: (line) => write(Deno.stdout, line),
  });
}

let args: ReturnType<typeof readArgs>;
try {
  args = readArgs();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
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
