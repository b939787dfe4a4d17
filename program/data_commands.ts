/**
 * The commands that broker and daemon have in common: `backup FILE` and
 * `restore FILE`.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import { fileSetting, switchFlag } from "./common_settings.ts";
import type { ProgramSpec } from "./program_spec.ts";

const oneFile = {
  names: ["FILE"],
  setting: "file",
  join: ([file = ""]: string[]) => file,
};

/** What `backup` can be told, beside where the data is. */
const backupEntries = {
  file: fileSetting("The file to make"),
  force: switchFlag("Replaces a file that is there"),
  json: switchFlag("Tells what was done as JSON"),
};

/** What `restore` can be told, beside where the data is. */
const restoreEntries = {
  file: fileSetting("The backup to put in place"),
  discardPrevious: switchFlag(
    "Does not keep the data that was there as before-restore-TIME in the folder",
  ),
  json: switchFlag("Tells what was done as JSON"),
};

type Entries<T extends v.ObjectEntries> = ProgramSpec<
  v.ObjectSchema<T, undefined>
>;

/** `backup` of the program `command`; `more` tells where its data is. */
export function backupSpec<const T extends v.ObjectEntries>(
  command: string,
  more: T,
): Entries<typeof backupEntries & T> {
  return {
    command: `${command} backup`,
    summary: "Copies the data as it is at this moment, also while it is in " +
      "use, and checks the copy.",
    settings: v.object({ ...backupEntries, ...more }) as v.ObjectSchema<
      typeof backupEntries & T,
      undefined
    >,
    operands: oneFile,
  };
}

/** `restore` of the program `command`; `more` tells where its data is. */
export function restoreSpec<const T extends v.ObjectEntries>(
  command: string,
  more: T,
): Entries<typeof restoreEntries & T> {
  return {
    command: `${command} restore`,
    summary: "Puts a backup in the place of the data, which nobody may have " +
      "in use.",
    settings: v.object({ ...restoreEntries, ...more }) as v.ObjectSchema<
      typeof restoreEntries & T,
      undefined
    >,
    operands: oneFile,
  };
}
