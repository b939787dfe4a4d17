/**
 * What the daemon's program can be told.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import {
  httpSetting,
  joinHostAndPort,
  logLevel,
  pathSetting,
} from "../program/common_settings.ts";
import {
  daemonDataFolder,
  daemonSocketAddress,
  defaultMachine,
  toAbsoluteData,
} from "../program/folders.ts";
import type { ProgramSpec } from "../program/program_spec.ts";
import {
  addressSetting,
  describe,
  machineSetting,
  tcpAddressSetting,
} from "../program/setting_kinds.ts";
import {
  type Address,
  parseAddress,
  type TcpAddress,
} from "../protocol/address.ts";

/** The daemon's settings. */
export const DAEMON_SETTINGS = v.object({
  broker: v.pipe(
    v.optional(tcpAddressSetting, "127.0.0.1:6270"),
    describe({ help: "Where the broker listens", placeholder: "HOST:PORT" }),
  ),
  listen: v.pipe(
    v.optional(addressSetting),
    describe({
      help: "Where to take connections of apps",
      placeholder: "unix:PATH|HOST:PORT",
      defaultText: "unix:DATA/mom.sock",
    }),
  ),
  machine: v.pipe(
    v.optional(machineSetting),
    describe({
      help:
        "The name of this machine, which stands behind the @ of its users; " +
        "each daemon of a host needs its own",
      placeholder: "NAME",
      defaultText: "the host name",
    }),
  ),
  http: httpSetting("off"),
  data: pathSetting(
    "The folder that keeps what waits for broker or apps; :memory: keeps none",
    "DIR",
    "$XDG_STATE_HOME/mom/daemon/MACHINE",
  ),
  tokenFile: pathSetting(
    "The file with the token that lets apps in; made if there is none",
    "FILE",
    "PATH.token beside the socket",
  ),
  brokerTokenFile: pathSetting(
    "The file with the broker's token; needed if the broker is another host",
    "FILE",
    "where a broker of this host puts it",
  ),
  logLevel,
});

/** What a daemon is started with, as far as its settings tell. */
export interface DaemonSettings {
  /** Where the broker listens. */
  broker: TcpAddress;
  /** Where to take connections of apps. */
  listen: Address;
  /** The machine's name; that of its data, else of the host, if absent. */
  machine?: string;
  /** Where to answer HTTP; not at all if absent. */
  http?: TcpAddress;
  /** Folder or `:memory:`. */
  data: string;
  /** The file of the token for apps; the well-known place if absent. */
  tokenFile?: string;
  /** The file of the broker's token; the well-known place if absent. */
  brokerTokenFile?: string;
}

/** The daemon's program. */
export const DAEMON_PROGRAM: ProgramSpec<typeof DAEMON_SETTINGS> = {
  command: "deno task daemon",
  summary: "Connects the apps of one machine with the broker. " +
    "Commands beside it, each with its own --help: backup FILE, restore FILE.",
  settings: DAEMON_SETTINGS,
  operands: {
    names: ["BROKER_HOST", "BROKER_PORT"],
    setting: "broker",
    join: joinHostAndPort,
  },
};

/**
 * What the settings mean, defaults filled in.
 *
 * @throws {MomError} `option_invalid` if there is no place for the data, no name
 *   for the machine, or nowhere to listen.
 */
export function toDaemonSettings(
  settings: v.InferOutput<typeof DAEMON_SETTINGS>,
): DaemonSettings {
  const { broker, http, tokenFile, brokerTokenFile } = settings;
  const { machine } = settings;
  const folder = () => daemonDataFolder(machine ?? defaultMachine());
  const data = toAbsoluteData(settings.data ?? folder());
  // In memory there is no folder for the socket: it lies where it otherwise would.
  const home = data === ":memory:" ? folder() : data;
  return {
    broker,
    listen: settings.listen ?? parseAddress(daemonSocketAddress(home)),
    ...(machine !== undefined && { machine }),
    ...(http && { http }),
    data,
    ...(tokenFile !== undefined && { tokenFile }),
    ...(brokerTokenFile !== undefined && { brokerTokenFile }),
  };
}
