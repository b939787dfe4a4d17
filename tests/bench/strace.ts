/**
 * Syncs of a program, watched from outside by strace. Each call is a line, so
 * that those of a measurement can be told from those before it, and those of the
 * write-ahead log from those of SQLite's checkpoints, which acknowledge nothing.
 *
 * @module
 */

import type { Command } from "../process/commands.ts";
import { findProgram } from "./find_program.ts";

/** Whether it is installed. */
export function hasStrace(): boolean {
  return findProgram("strace") !== null;
}

/** Has a command watched; the lines go to a file. */
export function tracing(path: string): (command: Command) => Command {
  return ({ program, args }) => ({
    program: "strace",
    args: [
      ...["-f", "-y", "-e", "trace=fsync,fdatasync", "-o", path],
      ...[program, ...args],
    ],
  });
}

/** How many syncs stand in the lines: all, or those of a file's name. */
export function countSyncs(trace: string, nameEnd = ""): number {
  return trace.split("\n").filter((line) => {
    // "7 fdatasync(5</tmp/x-wal>) = 0", or cut in two: "…> <unfinished ...>".
    const found = /\bf(?:data)?sync\(\d+<([^>]*)>/.exec(line);
    return found !== null && found[1]!.endsWith(nameEnd);
  }).length;
}
