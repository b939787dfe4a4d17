import { minimist } from "../minimist.ts";

export function parseArgs(args: string[]): unknown {
  return minimist(args);
}
