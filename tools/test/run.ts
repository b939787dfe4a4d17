/**
 * Runs `deno test`: once, or in lanes.
 *
 * @module
 */

import { toBlocks } from "./blocks.ts";
import type { Lane } from "./lanes.ts";
import { mergeReports } from "./report.ts";

/** How to run lanes. */
export interface RunOptions {
  /** The folder to run in. */
  root: string;
  /** The arguments of Deno that all lanes have, `test` the first of them. */
  command: readonly string[];
  /** Groups that come one after another. */
  lanes: readonly (readonly Lane[])[];
  /** Where the report of all lanes goes, if to any place. */
  report?: string;
  /** Told what lanes say that run at the same time, and how each ended. */
  write(text: string): void;
}

/** What a shell has for who is ended by SIGINT. */
const INTERRUPTED = 130;

const running = new Set<Deno.ChildProcess>();
let isEnding = false;

/** Ends what runs, and begins nothing more. */
export function endAll(signal: Deno.Signal): void {
  isEnding = true;
  for (const child of running) child.kill(signal);
}

/** Runs one command of Deno to its end; gives its exit code. */
export async function runOne(
  root: string,
  args: readonly string[],
): Promise<number> {
  return await end(start(root, args));
}

/** Runs all lanes, whatever becomes of one; gives the worst exit code. */
export async function runLanes(options: RunOptions): Promise<number> {
  const { root, command, lanes, report } = options;
  // Types and examples are looked at once, not by each lane.
  const checked = await runOne(root, [...command, "--no-run"]);
  if (checked !== 0) return checked;
  const folder = await Deno.makeTempDir({ prefix: "mom-reports-" });
  try {
    const codes: number[] = [];
    const files: string[] = [];
    for (const group of lanes) {
      if (isEnding) {
        codes.push(INTERRUPTED);
        break;
      }
      const isShared = group.length > 1;
      const running = group.map((lane) => {
        const file = `${folder}/${files.length}.xml`;
        files.push(file);
        return runLane(options, lane, file, isShared);
      });
      codes.push(...await Promise.all(running));
    }
    if (report !== undefined) {
      const reports = await Promise.all(files.map(readReport));
      await Deno.writeTextFile(report, mergeReports(reports));
    }
    return Math.max(...codes);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function runLane(
  { root, command, write }: RunOptions,
  { name, args, ports }: Lane,
  report: string,
  /** Whether others write at the same time. */
  isShared: boolean,
): Promise<number> {
  const all = [...command, "--no-check", `--junit-path=${report}`, ...args];
  const env = { MOM_TEST_PORTS: ports };
  const stdout = isShared ? "piped" : "inherit";
  const child = start(root, all, { stdin: "null", stdout, env });
  if (isShared) {
    for await (const block of toBlocks(child.stdout)) {
      write(block);
    }
  }
  const code = await end(child);
  write(`\n${code === 0 ? "ok" : "FAILED"}: ${name}\n\n`);
  return code;
}

function start(
  cwd: string,
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Deno.ChildProcess {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    ...options,
  });
  const child = command.spawn();
  running.add(child);
  return child;
}

async function end(child: Deno.ChildProcess): Promise<number> {
  try {
    return (await child.status).code;
  } finally {
    running.delete(child);
  }
}

/** A lane that ended before its time leaves none. */
async function readReport(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "";
  }
}
