/**
 * The daemon as a program: `deno task daemon`.
 *
 * @module
 */

import { dirname } from "node:path";
import { parseArgs } from "../deps/cli.ts";
import { makePrivateFolder } from "../program/folders.ts";
import { processHost } from "../program/host.ts";
import { runProgram } from "../program/run.ts";
import { formatAddress, isUnixAddress } from "../protocol/address.ts";
import { FORMAT_VERSION } from "../storage/layout.ts";
import { Daemon } from "./daemon.ts";
import { DAEMON_PROGRAM, toDaemonSettings } from "./settings.ts";

await runProgram({
  role: "daemon",
  spec: DAEMON_PROGRAM,
  parse: (args, options) => parseArgs(args, options),
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
