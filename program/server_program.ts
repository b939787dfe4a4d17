/**
 * What the programs that keep data and listen have in common, from the command line
 * to the exit code: commands beside them, and the life of a server.
 *
 * @module
 */

import type * as v from "../deps/valibot.ts";
import { type Address, formatAddress } from "../protocol/address.ts";
import { type Commands, runIfCommand } from "./command.ts";
import type { FormatVersions } from "./build.ts";
import { processHost } from "./host.ts";
import type { Logger } from "./log.ts";
import type { ProgramSpec, SettingsSchema } from "./program_spec.ts";
import { runProgram } from "./run.ts";
import type { ParseArguments } from "./settings.ts";

/** A broker or daemon that runs. */
export interface Server {
  /** Where it listens. */
  readonly address: Address;
  /** Where its HTTP side listens; `null` if it has none. */
  readonly http: string | null;
  /** Finishes what was accepted and ends. */
  stop(): Promise<void>;
}

/** What a server is told beside its settings. */
export interface ServerNeeds {
  readonly logger: Logger;
  /** Called with the reason when it cannot go on. */
  readonly onFailed: (reason: unknown) => void;
}

/** What makes a server's program. */
export interface ServerProgramOptions<
  S extends SettingsSchema,
  T extends { readonly data: string },
> {
  /** What it is: `broker`, `daemon`. */
  readonly role: string;
  /** What it is called and can be told. */
  readonly spec: ProgramSpec<S>;
  /** What it can do beside running. */
  readonly commands: Commands;
  /** Versions of what it keeps, for `--version`. */
  readonly formats: FormatVersions;
  /** Splits the command line. */
  readonly parse: ParseArguments;
  /** What the settings mean. @throws {MomError} `option_invalid`. */
  toSettings(given: v.InferOutput<S>): T;
  /** Starts it; it listens when this resolves. */
  start(settings: T & ServerNeeds): Promise<Server>;
}

/** Runs the process as that program. */
export async function runServerProgram<
  S extends SettingsSchema,
  T extends { readonly data: string },
>(options: ServerProgramOptions<S, T>): Promise<void> {
  const { role, spec, commands, formats, parse } = options;
  const host = processHost;
  if (await runIfCommand(commands, { host, parse })) return;
  await runProgram({
    role,
    spec,
    parse,
    host,
    formats,
    start: async (given, logger) => {
      const settings = options.toSettings(given);
      const { promise: failed, resolve: onFailed } = Promise.withResolvers();
      const server = await options.start({ ...settings, logger, onFailed });
      const { address, http } = server;
      return {
        ready: {
          address: formatAddress(address),
          http,
          data: settings.data,
        },
        stop: () => server.stop(),
        failed,
      };
    },
  });
}
