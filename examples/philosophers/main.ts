/**
 * `deno task philosophers`: philosophers round a table, each a process at one of
 * several daemons. Ends with 0 if its log keeps all rules, else with 1.
 *
 * @module
 */

import { parseArgs } from "../../deps/cli.ts";
import { runMain } from "../simulation/main_program.ts";
import { PHILOSOPHER_FLAGS, PHILOSOPHERS } from "./philosophers.ts";

if (import.meta.main) {
  const parse = (args: string[], options: Parameters<typeof parseArgs>[1]) =>
    parseArgs(args, options);
  Deno.exit(await runMain(PHILOSOPHERS, PHILOSOPHER_FLAGS, parse));
}
