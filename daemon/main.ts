/**
 * The daemon as a program: `deno task daemon`.
 *
 * @module
 */

import { dirname } from "node:path";
import { parseArgs } from "../deps/cli.ts";
import { makePrivateFolder } from "../program/folders.ts";
import { runServerProgram } from "../program/server_program.ts";
import { isUnixAddress } from "../protocol/address.ts";
import { FORMAT_VERSION } from "../storage/layout.ts";
import { Daemon } from "./daemon.ts";
import { DAEMON_COMMANDS } from "./commands.ts";
import { DAEMON_PROGRAM, toDaemonSettings } from "./settings.ts";

await runServerProgram({
  role: "daemon",
  spec: DAEMON_PROGRAM,
  commands: DAEMON_COMMANDS,
  formats: { store: FORMAT_VERSION },
  parse: (args, options) => parseArgs(args, options),
  toSettings: toDaemonSettings,
  start: async (settings) => {
    const { listen } = settings;
    if (isUnixAddress(listen)) await makePrivateFolder(dirname(listen.path));
    return await Daemon.start(settings);
  },
});
