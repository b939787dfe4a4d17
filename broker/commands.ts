/**
 * The broker's commands beside its running: `backup`, `restore`, `purge`.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import {
  dataSetting,
  pathSetting,
  switchFlag,
} from "../program/common_settings.ts";
import { type Commands, runCommand } from "../program/command.ts";
import { dataCommands } from "../program/data_commands.ts";
import { brokerDataFolder, toAbsoluteData } from "../program/folders.ts";
import type { ProgramSpec } from "../program/program_spec.ts";
import { commandBackup, commandRestore } from "../storage/store_commands.ts";
import { purgeOffline } from "./offline.ts";

const data = dataSetting("$XDG_STATE_HOME/mom/broker");

const PURGE_SETTINGS = v.object({
  data,
  topic: pathSetting("The messages of this topic", "TOPIC"),
  user: pathSetting("What waits for this user", "NAME@MACHINE"),
  all: switchFlag("The messages of all topics"),
});
const PURGE: ProgramSpec<typeof PURGE_SETTINGS> = {
  command: "deno task broker purge",
  summary: "Removes stored messages. The broker must not be running; a " +
    "program that runs one calls broker.purge().",
  settings: PURGE_SETTINGS,
};

/** What each of them does. */
export const BROKER_COMMANDS: Commands = {
  ...dataCommands({
    role: "broker",
    where: { data },
    folderOf: ({ data }) => data ?? brokerDataFolder(),
    backup: commandBackup,
    restore: commandRestore,
  }),
  purge: (place) =>
    runCommand({
      ...place,
      spec: PURGE,
      misuse: misuseOfPurge,
      run: commandPurge,
    }),
};

type PurgeSettings = v.InferOutput<typeof PURGE_SETTINGS>;

function misuseOfPurge({ topic, user, all }: PurgeSettings): string | null {
  const named = [topic !== undefined, user !== undefined, all];
  if (named.filter((each) => each).length === 1) return null;
  return "Cannot purge: name exactly one of --topic, --user and --all";
}

async function commandPurge(given: PurgeSettings): Promise<string> {
  const folder = toAbsoluteData(given.data ?? brokerDataFolder());
  const { removed, dropped } = await purgeOffline(folder, given);
  return `purged ${folder}: ${removed} messages removed, ` +
    `${dropped} that waited for a subscription dropped`;
}
