/**
 * Command lines, for the `main.ts` files and the `cli/` folders alone. As long as
 * `deno.json` holds the `links` line, `@std/cli` is the stand-in of
 * `deps/std_cli/`, which needs no other registry than npm's; without that line
 * it is the package itself.
 */
export { parseArgs } from "jsr:@std/cli@^1.0.32/parse-args";
