/**
 * The daemon's commands beside its running: `backup`, `restore`.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import { runCommand } from "../program/command.ts";
import { dataSetting } from "../program/common_settings.ts";
import { backupSpec, restoreSpec } from "../program/data_commands.ts";
import {
  daemonDataFolder,
  defaultMachine,
  toAbsoluteData,
} from "../program/folders.ts";
import type { Host } from "../program/host.ts";
import { describe, machineSetting } from "../program/setting_kinds.ts";
import type { ParseArguments } from "../program/settings.ts";
import { commandBackup, commandRestore } from "../storage/store_commands.ts";

const COMMAND = "deno task daemon";
const where = {
  data: dataSetting("$XDG_STATE_HOME/mom/daemon/MACHINE"),
  machine: v.pipe(
    v.optional(machineSetting),
    describe({
      help: "The name of the machine whose data it is, if no folder is given",
      placeholder: "NAME",
      defaultText: "the host name",
    }),
  ),
};

const BACKUP = backupSpec(COMMAND, where);
const RESTORE = restoreSpec(COMMAND, where);

/** Their names. */
export const DAEMON_COMMANDS = ["backup", "restore"] as const;

/** Runs a command. */
export async function runDaemonCommand(
  name: string,
  host: Host,
  parse: ParseArguments,
): Promise<void> {
  const base = { host, parse };
  if (name === "backup") {
    await runCommand({
      ...base,
      spec: BACKUP,
      run: (given) => commandBackup(placed(given)),
    });
  } else {
    await runCommand({
      ...base,
      spec: RESTORE,
      run: (given) => commandRestore(placed(given)),
    });
  }
}

function placed<T extends { data?: string; machine?: string }>(
  given: T,
): T & { data: string; role: "daemon" } {
  const folder = given.data ??
    daemonDataFolder(given.machine ?? defaultMachine());
  return { ...given, data: toAbsoluteData(folder), role: "daemon" };
}
