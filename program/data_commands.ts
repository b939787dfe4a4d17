/**
 * The commands that broker and daemon have in common: `backup FILE` and
 * `restore FILE`.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import { type Commands, runCommand } from "./command.ts";
import { fileSetting, switchFlag } from "./common_settings.ts";
import { toAbsoluteData } from "./folders.ts";

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

/** What is to be done with the data of whom. */
export interface DataOrder<R extends string> {
  /** Whose data it is. */
  readonly role: R;
  /** Its folder. */
  readonly data: string;
  /** The backup. */
  readonly file: string;
  /** Whether to tell it as JSON. */
  readonly json: boolean;
}

type Place<T extends v.ObjectEntries> = v.InferOutput<
  v.ObjectSchema<T, undefined>
>;

/** What a program offers. */
export interface DataCommandsOptions<
  R extends string,
  T extends v.ObjectEntries,
> {
  /** What the program is; its task is called the same. */
  readonly role: R;
  /** The settings that tell where its data is. */
  readonly where: T;
  /** The folder that they name. */
  folderOf(given: Place<T>): string;
  /** Makes a backup; gives the line to print. */
  backup(order: DataOrder<R> & { force: boolean }): Promise<string>;
  /** Restores one; gives the line to print. */
  restore(order: DataOrder<R> & { discardPrevious: boolean }): Promise<string>;
}

/** `backup` and `restore` of a program. */
export function dataCommands<
  const R extends string,
  const T extends v.ObjectEntries,
>(
  { role, where, folderOf, backup, restore }: DataCommandsOptions<R, T>,
): Commands {
  const dataOf = (given: unknown) =>
    toAbsoluteData(folderOf(given as Place<T>));
  const command = `deno task ${role}`;
  return {
    backup: (place) =>
      runCommand({
        ...place,
        spec: {
          command: `${command} backup`,
          summary: "Copies the data as it is at this moment, also while it " +
            "is in use, and checks the copy.",
          settings: v.object({ ...backupEntries, ...where as object }),
          operands: oneFile,
        },
        run: (given) => backup({ ...given, role, data: dataOf(given) }),
      }),
    restore: (place) =>
      runCommand({
        ...place,
        spec: {
          command: `${command} restore`,
          summary: "Puts a backup in the place of the data, which nobody may " +
            "have in use.",
          settings: v.object({ ...restoreEntries, ...where as object }),
          operands: oneFile,
        },
        run: (given) => restore({ ...given, role, data: dataOf(given) }),
      }),
  };
}
