/**
 * The broker as a program: `deno task broker`.
 *
 * @module
 */

import { parseArgs } from "../deps/cli.ts";
import { runServerProgram } from "../program/server_program.ts";
import { FORMAT_VERSION } from "../storage/layout.ts";
import { Broker } from "./broker.ts";
import { BROKER_COMMANDS } from "./commands.ts";
import { BROKER_PROGRAM, toBrokerSettings } from "./settings.ts";

await runServerProgram({
  role: "broker",
  spec: BROKER_PROGRAM,
  commands: BROKER_COMMANDS,
  formats: { store: FORMAT_VERSION },
  parse: (args, options) => parseArgs(args, options),
  toSettings: toBrokerSettings,
  start: (settings) => Broker.start(settings),
});
