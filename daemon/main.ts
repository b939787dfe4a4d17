/**
 * The daemon as a program: `deno task daemon`.
 *
 * @module
 */

import { dirname } from "node:path";
import { parseArgs } from "../deps/cli.ts";
import { makePrivateFolder } from "../program/folders.ts";
import { splitCommand } from "../program/command.ts";
import { processHost } from "../program/host.ts";
import { runProgram } from "../program/run.ts";
import type { ParseArguments } from "../program/settings.ts";
import { formatAddress, isUnixAddress } from "../protocol/address.ts";
import { FORMAT_VERSION } from "../storage/layout.ts";
import { Daemon } from "./daemon.ts";
import { DAEMON_COMMANDS, runDaemonCommand } from "./commands.ts";
import { DAEMON_PROGRAM, toDaemonSettings } from "./settings.ts";

const parse: ParseArguments = (args, options) => parseArgs(args, options);
const command = splitCommand(processHost, DAEMON_COMMANDS);

if (command !== null) await runDaemonCommand(command.name, command.host, parse);
else await run();

async function run(): Promise<void> {
  await runProgram({
    role: "daemon",
    spec: DAEMON_PROGRAM,
    parse,
    host: processHost,
    formats: { store: FORMAT_VERSION },
    start: async (given, logger) => {
      const settings = toDaemonSettings(given);
      const { listen, data } = settings;
      if (isUnixAddress(listen)) await makePrivateFolder(dirname(listen.path));
      const { promise: failed, resolve: onFailed } = Promise.withResolvers();
      const daemon = await Daemon.start({ ...settings, logger, onFailed });
      const { http } = daemon;
      const address = formatAddress(daemon.address);
      return {
        ready: { address, http, data },
        stop: () => daemon.stop(),
        failed,
      };
    },
  });
}
