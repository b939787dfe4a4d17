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
import { runCommand } from "../program/command.ts";
import { backupSpec, restoreSpec } from "../program/data_commands.ts";
import { brokerDataFolder, toAbsoluteData } from "../program/folders.ts";
import type { Host } from "../program/host.ts";
import type { ProgramSpec } from "../program/program_spec.ts";
import type { ParseArguments } from "../program/settings.ts";
import { commandBackup, commandRestore } from "../storage/store_commands.ts";
import { purgeOffline } from "./offline.ts";

const COMMAND = "deno task broker";
const data = dataSetting("$XDG_STATE_HOME/mom/broker");

const BACKUP = backupSpec(COMMAND, { data });
const RESTORE = restoreSpec(COMMAND, { data });
const PURGE: ProgramSpec = {
  command: `${COMMAND} purge`,
  summary: "Removes stored messages. The broker must not be running; a " +
    "program that runs one calls broker.purge().",
  settings: v.object({
    data,
    topic: pathSetting("The messages of this topic", "TOPIC"),
    user: pathSetting("What waits for this user", "NAME@MACHINE"),
    all: switchFlag("The messages of all topics"),
  }),
};

/** Their names. */
export const BROKER_COMMANDS = ["backup", "restore", "purge"] as const;

/** Runs a command. */
export async function runBrokerCommand(
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
  } else if (name === "restore") {
    await runCommand({
      ...base,
      spec: RESTORE,
      run: (given) => commandRestore(placed(given)),
    });
  } else {
    await runCommand({
      ...base,
      spec: PURGE,
      misuse: misuseOfPurge,
      run: (given) => commandPurge(placed(given)),
    });
  }
}

function placed<T extends { data?: string | undefined }>(
  given: T,
): T & { data: string; role: "broker" } {
  const folder = toAbsoluteData(given.data ?? brokerDataFolder());
  return { ...given, data: folder, role: "broker" };
}

function misuseOfPurge(
  { topic, user, all }: { topic?: string; user?: string; all?: boolean },
): string | null {
  const named = [topic !== undefined, user !== undefined, all === true];
  if (named.filter((each) => each).length === 1) return null;
  return "Cannot purge: name exactly one of --topic, --user and --all";
}

async function commandPurge(
  given: { data: string; topic?: string; user?: string; all?: boolean },
): Promise<string> {
  const { removed, dropped } = await purgeOffline(given.data, given);
  return `purged ${given.data}: ${removed} messages removed, ` +
    `${dropped} that waited for a subscription dropped`;
}
