/**
 * The daemon's commands beside its running: `backup`, `restore`.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import type { Commands } from "../program/command.ts";
import { dataSetting } from "../program/common_settings.ts";
import { dataCommands } from "../program/data_commands.ts";
import { daemonDataFolder, defaultMachine } from "../program/folders.ts";
import { describe, machineSetting } from "../program/setting_kinds.ts";
import { commandBackup, commandRestore } from "../storage/store_commands.ts";

/** What each of them does. */
export const DAEMON_COMMANDS: Commands = dataCommands({
  role: "daemon",
  where: {
    data: dataSetting("$XDG_STATE_HOME/mom/daemon/MACHINE"),
    machine: v.pipe(
      v.optional(machineSetting),
      describe({
        help: "The name of the machine whose data it is, if no folder is given",
        placeholder: "NAME",
        defaultText: "the host name",
      }),
    ),
  },
  folderOf: ({ data, machine }) =>
    data ?? daemonDataFolder(machine ?? defaultMachine()),
  backup: commandBackup,
  restore: commandRestore,
});
