/**
 * `deno task museum`: a museum whose doors, guide and visitors are processes at
 * several daemons. Ends with 0 if its log keeps all rules, else with 1.
 *
 * @module
 */

import { parseArgs } from "../../deps/cli.ts";
import { runMain } from "../simulation/main_program.ts";
import { MUSEUM, MUSEUM_FLAGS } from "./museum.ts";

if (import.meta.main) {
  const parse = (args: string[], options: Parameters<typeof parseArgs>[1]) =>
    parseArgs(args, options);
  Deno.exit(await runMain(MUSEUM, MUSEUM_FLAGS, parse));
}
