/**
 * Settings that more than one program has, so that they are the same in each.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import type { TcpAddress } from "../protocol/address.ts";
import type { LogLevel } from "./log.ts";
import {
  describe,
  logLevelSetting,
  optionalTcpAddressSetting,
  textSetting,
} from "./setting_kinds.ts";

/** Operands that say the same as an address: `HOST PORT`. */
export function joinHostAndPort(operands: string[]): string {
  const [host = "", port = ""] = operands;
  const isBareV6 = host.includes(":") && !host.startsWith("[");
  return isBareV6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `--log-level`. */
export const logLevel: v.GenericSchema<string | undefined, LogLevel> = v.pipe(
  v.optional(logLevelSetting, "info"),
  describe({
    help: "The least important events to log: debug, info, warn, error or off",
    placeholder: "LEVEL",
  }),
);

/** `--http`; `null` is off, `undefined` the default. */
export function httpSetting(
  defaultText: string,
): v.GenericSchema<string | undefined, TcpAddress | null | undefined> {
  return v.pipe(
    v.optional(optionalTcpAddressSetting),
    describe({
      help: "Where to answer HTTP: /healthz, /readyz, /metrics, /api/v1/status",
      placeholder: "HOST:PORT|off",
      defaultText,
    }),
  );
}

/** A setting that names a file or folder. */
export function pathSetting(
  help: string,
  placeholder: string,
  defaultText: string,
): v.GenericSchema<string | undefined, string | undefined> {
  return v.pipe(
    v.optional(textSetting),
    describe({ help, placeholder, defaultText }),
  );
}
