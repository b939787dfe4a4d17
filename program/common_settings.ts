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
  switchSetting,
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

/** The data folder of a command beside a program. */
export function dataSetting(
  defaultText: string,
): v.GenericSchema<string | undefined, string | undefined> {
  return pathSetting("The data folder", "DIR", defaultText);
}

/** `--file`, which commands take as an operand. */
export function fileSetting(help: string): v.GenericSchema<string, string> {
  return v.pipe(
    v.string(),
    v.nonEmpty("it needs a value"),
    describe({ help, placeholder: "FILE" }),
  );
}

/** A flag that is there or not. */
export function switchFlag(
  help: string,
): v.GenericSchema<boolean | undefined, boolean> {
  return v.pipe(v.optional(switchSetting, false), describe({ help }));
}

/** A setting that names a file or folder. */
export function pathSetting(
  help: string,
  placeholder: string,
  defaultText?: string,
): v.GenericSchema<string | undefined, string | undefined> {
  return v.pipe(
    v.optional(textSetting),
    describe({
      help,
      placeholder,
      ...(defaultText !== undefined && { defaultText }),
    }),
  );
}
