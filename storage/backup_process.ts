/**
 * A backup of a store that this process has open: made by a process of its own,
 * since SQLite would lose the locks of the files that it opens twice.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { type ErrorCode, isErrorCode, MomError } from "../protocol/errors.ts";
import { type BackupReport, sourceOf } from "./backup.ts";

/** What to copy where, and by which program. */
export interface BackupProcessOptions {
  /** The store's folder. */
  readonly data: string;
  /** The file to make. */
  readonly file: string;
  /** Replaces a file that is there. */
  readonly force: boolean;
  /** The program's module, which knows `backup`. */
  readonly main: URL;
}

/**
 * Runs `PROGRAM backup FILE` and waits for its end.
 *
 * @throws {MomError} `unsupported` where no process may be started or the store
 *   is in no folder; else what the process failed with.
 */
export async function backupInProcess(
  options: BackupProcessOptions,
): Promise<BackupReport> {
  const { data } = options;
  await sourceOf(data);
  const program = Deno.execPath();
  const { state } = Deno.permissions.querySync({
    name: "run",
    command: program,
  });
  // An executable runs itself alone, whatever program of whoever that is.
  if (state !== "granted" || Deno.build.standalone) {
    throw new MomError(
      "unsupported",
      `Cannot back up store "${data}" from here: it takes a process of its ` +
        `own, and this one may start none (--allow-run=${program}); run the ` +
        `command backup beside it instead`,
    );
  }
  const command = new Deno.Command(program, {
    args: toArguments(options),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  return readReport(data, await command.output());
}

function toArguments(options: BackupProcessOptions): string[] {
  const { data, main, force } = options;
  const file = resolve(options.file);
  const args = ["backup", file, "--data", resolve(data), "--json"];
  if (force) args.push("--force");
  const run = ["run", "--quiet", "--no-prompt", "--unstable-kv"];
  const folders = `${resolve(data)},${dirname(file)}`;
  run.push(`--allow-read=${folders}`, `--allow-write=${folders}`);
  if (main.protocol.startsWith("http")) run.push(`--allow-import=${main.host}`);
  return [...run, main.href, ...args];
}

function readReport(data: string, output: Deno.CommandOutput): BackupReport {
  const text = new TextDecoder().decode(output.stdout).trim();
  if (output.success) return JSON.parse(text);
  const complaint = new TextDecoder().decode(output.stderr).trim();
  const [, code, message] = /error: (\w+) (.*)/.exec(complaint) ?? [];
  throw new MomError(
    isErrorCode(code ?? "") ? code as ErrorCode : "internal",
    message ?? `Cannot back up store "${data}": ${complaint}`,
  );
}
