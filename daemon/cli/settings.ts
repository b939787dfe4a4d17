/**
 * What the shell can be told.
 *
 * @module
 */

import * as v from "../../deps/valibot.ts";
import { pathSetting } from "../../program/common_settings.ts";
import type { ProgramSpec } from "../../program/program_spec.ts";
import {
  addressSetting,
  describe,
  userSetting,
} from "../../program/setting_kinds.ts";
import { SHELL_HELP } from "./shell_command.ts";

/** The shell's settings. */
export const SHELL_SETTINGS = v.object({
  name: v.pipe(
    v.optional(userSetting),
    describe({
      help: "Who you are; subscriptions and waiting messages outlive the shell",
      placeholder: "NAME",
      defaultText: "nobody in particular, for as long as the shell runs",
    }),
  ),
  daemon: v.pipe(
    v.optional(addressSetting),
    describe({
      help: "Where the daemon listens",
      placeholder: "unix:PATH|HOST:PORT",
      defaultText: "this host's daemon",
    }),
  ),
  tokenFile: pathSetting(
    "The file with the daemon's token",
    "FILE",
    "where the daemon puts it",
  ),
});

/** The shell's program. */
export const SHELL_PROGRAM: ProgramSpec<typeof SHELL_SETTINGS> = {
  command: "deno task shell",
  summary: `Publishes and receives by hand. Commands, in either case:\n\n${
    SHELL_HELP.replace(/^/gm, "  ").trimEnd()
  }`,
  settings: SHELL_SETTINGS,
};
