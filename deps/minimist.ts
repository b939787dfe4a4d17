/** Splits a command line into flags and operands. Used by `deps/std_cli/` alone. */
// @ts-types="npm:@types/minimist@1.2.5"
export { default as minimist } from "npm:minimist@1.2.8";
