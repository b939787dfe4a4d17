/**
 * The commands `backup` and `restore`, for the programs that offer them.
 *
 * @module
 */

import { systemClock, systemEntropy } from "../protocol/clock.ts";
import { type BackupReport, backupStore } from "./backup.ts";
import { type RestoreReport, restoreStore } from "./restore.ts";

/** What both are told. */
export interface StoreCommand {
  readonly role: "broker" | "daemon";
  readonly data: string;
  readonly file: string;
  /** Whether to tell it as JSON. */
  readonly json: boolean;
}

/** Makes a backup; tells it in a line. */
export async function commandBackup(
  command: StoreCommand & { readonly force: boolean },
): Promise<string> {
  const report = await backupStore(command);
  return command.json ? JSON.stringify(report) : tellBackup(report);
}

/** Restores a backup; tells it in a line. */
export async function commandRestore(
  command: StoreCommand & { readonly discardPrevious: boolean },
): Promise<string> {
  const report = await restoreStore({
    ...command,
    entropy: systemEntropy,
    wallMs: systemClock.wallMs(),
  });
  return command.json
    ? JSON.stringify(report)
    : tellRestore(command.data, report);
}

function tellBackup(report: BackupReport): string {
  const { file, position, epoch, messages, bytes, damaged } = report;
  const parts = [
    `position ${position} of epoch ${epoch}`,
    count(messages, "message"),
    count(bytes, "byte"),
  ];
  if (damaged > 0) {
    parts.push(`${count(damaged, "value")} damaged in the store itself`);
  }
  return `backed up to ${file}: ${parts.join(", ")}`;
}

function tellRestore(data: string, report: RestoreReport): string {
  const { position, epoch, messages, previous, lost } = report;
  const parts = [
    `position ${position}, now epoch ${epoch}`,
    count(messages, "message"),
  ];
  if (lost !== null) {
    parts.push(`${count(lost, "message")} since the backup lost`);
  }
  if (previous !== null) parts.push(`previous data kept in ${previous}`);
  return `restored ${data}: ${parts.join(", ")}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
