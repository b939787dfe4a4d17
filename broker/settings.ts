/**
 * What the broker's program can be told.
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
import { brokerDataFolder, toAbsoluteData } from "../program/folders.ts";
import type { ProgramSpec } from "../program/program_spec.ts";
import {
  bytesSetting,
  describe,
  switchSetting,
  tcpAddressSetting,
} from "../program/setting_kinds.ts";
import type { TcpAddress } from "../protocol/address.ts";
import { LIMITS } from "../protocol/limits.ts";
import { BROKER_DEFAULTS } from "./options.ts";

/** The port of the HTTP side, for brokers that are told nothing of ports. */
export const BROKER_HTTP_PORT = 6271;

const { hostname: LOCAL, port: BROKER_PORT, maxMessageBytes } = BROKER_DEFAULTS;

/** The broker's settings. */
export const BROKER_SETTINGS = v.object({
  listen: v.pipe(
    v.optional(tcpAddressSetting, `${LOCAL}:${BROKER_PORT}`),
    describe({
      help: "Where to take connections of daemons and apps; port 0: a free one",
      placeholder: "HOST:PORT",
    }),
  ),
  http: httpSetting(
    `${LOCAL}:${BROKER_HTTP_PORT} if the port is ${BROKER_PORT}, else off`,
  ),
  data: pathSetting(
    "The folder that keeps all messages; :memory: keeps none",
    "DIR",
    "$XDG_STATE_HOME/mom/broker",
  ),
  tokenFile: pathSetting(
    "The file with the token that lets in; made if there is none",
    "FILE",
    "$XDG_STATE_HOME/mom/tokens/HOST_PORT",
  ),
  maxMessageBytes: v.pipe(
    v.optional(
      bytesSetting(1, LIMITS.announcedMessageBytes),
      `${maxMessageBytes}`,
    ),
    describe({ help: "The largest message", placeholder: "BYTES" }),
  ),
  insecureNoToken: v.pipe(
    v.optional(switchSetting, false),
    describe({ help: "Lets in everybody who can connect, without a token" }),
  ),
  logLevel,
});

/** What a broker is started with, as far as its settings tell. */
export interface BrokerSettings {
  /** The host to listen on. */
  hostname: string;
  /** The port to listen on. */
  port: number;
  /** Where to answer HTTP; not at all if absent. */
  http?: TcpAddress;
  /** Folder, `:memory:` or URL. */
  data: string;
  /** The file of the token; the well-known place if absent. */
  tokenFile?: string;
  /** The largest message. */
  maxMessageBytes: number;
  /** Whether to let in everybody. */
  insecureNoToken: boolean;
}

/** The broker's program. */
export const BROKER_PROGRAM: ProgramSpec<typeof BROKER_SETTINGS> = {
  command: "deno task broker",
  summary: "Keeps messages and hands them to those who subscribed. " +
    "Commands beside it, each with its own --help: backup FILE, restore FILE, purge.",
  settings: BROKER_SETTINGS,
  operands: {
    names: ["HOST", "PORT"],
    setting: "listen",
    join: joinHostAndPort,
  },
};

/**
 * What the settings mean, defaults filled in.
 *
 * @throws {MomError} `option_invalid` if there is no place for the data.
 */
export function toBrokerSettings(
  settings: v.InferOutput<typeof BROKER_SETTINGS>,
): BrokerSettings {
  const { listen, tokenFile, maxMessageBytes, insecureNoToken } = settings;
  const http = settings.http === undefined
    ? defaultHttp(listen.port)
    : settings.http;
  return {
    hostname: listen.hostname,
    port: listen.port,
    ...(http !== null && { http }),
    data: toAbsoluteData(settings.data ?? brokerDataFolder()),
    ...(tokenFile !== undefined && { tokenFile }),
    maxMessageBytes,
    insecureNoToken,
  };
}

function defaultHttp(port: number): TcpAddress | null {
  if (port !== BROKER_PORT) return null;
  return { hostname: LOCAL, port: BROKER_HTTP_PORT };
}
