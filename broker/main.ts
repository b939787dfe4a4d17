/**
 * The broker as a program: `deno task broker`.
 *
 * @module
 */

import { parseArgs } from "../deps/cli.ts";
import { splitCommand } from "../program/command.ts";
import { processHost } from "../program/host.ts";
import { runProgram } from "../program/run.ts";
import type { ParseArguments } from "../program/settings.ts";
import { formatAddress } from "../protocol/address.ts";
import { FORMAT_VERSION } from "../storage/layout.ts";
import { Broker } from "./broker.ts";
import { BROKER_COMMANDS, runBrokerCommand } from "./commands.ts";
import { BROKER_PROGRAM, toBrokerSettings } from "./settings.ts";

const parse: ParseArguments = (args, options) => parseArgs(args, options);
const command = splitCommand(processHost, BROKER_COMMANDS);

if (command !== null) await runBrokerCommand(command.name, command.host, parse);
else await run();

async function run(): Promise<void> {
  await runProgram({
    role: "broker",
    spec: BROKER_PROGRAM,
    parse,
    host: processHost,
    formats: { store: FORMAT_VERSION },
    start: async (given, logger) => {
      const settings = toBrokerSettings(given);
      const { promise: failed, resolve: onFailed } = Promise.withResolvers();
      const broker = await Broker.start({ ...settings, logger, onFailed });
      const { http } = broker;
      const address = formatAddress(broker.address);
      const { data } = settings;
      return {
        ready: { address, http, data },
        stop: () => broker.stop(),
        failed,
      };
    },
  });
}
