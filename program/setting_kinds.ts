/**
 * The kinds of settings: schemas that turn the text of a flag or an environment
 * variable into a checked value. A message of theirs is the rule that was
 * broken.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import {
  type Address,
  isUnixAddress,
  parseAddress,
  type TcpAddress,
} from "../protocol/address.ts";
import { checkName } from "../protocol/names.ts";
import { LOG_LEVELS } from "./log.ts";

/** What usage text needs to know of a setting, beside its schema. */
export interface SettingNotes {
  /** One line for the usage text. */
  help: string;
  /** What stands for the value: `HOST:PORT`, `DIR`. None for yes or no. */
  placeholder?: string;
  /** The default in words, where it is computed elsewhere. */
  defaultText?: string;
}

/** Adds what the usage text tells to a setting. */
export function describe<T>(
  notes: SettingNotes,
): v.MetadataAction<T, SettingNotes & Record<string, unknown>> {
  return v.metadata({ ...notes });
}

/** Any text but the empty one. */
export const textSetting = v.pipe(
  v.string(),
  v.nonEmpty("it needs a value"),
);

/** Yes or no: as a flag present or absent, in the environment 1 or 0, true or false. */
export const switchSetting = v.boolean("expected 1, 0, true or false");

const ADDRESS_RULE =
  "expected HOST:PORT with a port from 0 to 65535, or unix:PATH";
const TCP_RULE = "expected HOST:PORT with a port from 0 to 65535";

/** `HOST:PORT` or `unix:PATH`. */
export const addressSetting = converted(ADDRESS_RULE, parseAddress);

/** `HOST:PORT`. */
export const tcpAddressSetting = converted(TCP_RULE, toTcpAddress);

/** `HOST:PORT`, or `off` as `null`. */
export const optionalTcpAddressSetting = converted(
  `${TCP_RULE}, or off`,
  (text) => text === "off" ? null : toTcpAddress(text),
);

/** The name of a machine. */
export const machineSetting = converted("", checkedName("machine"));

/** The name of a user. */
export const userSetting = converted("", checkedName("user"));

/** From what level on to log. */
export const logLevelSetting = v.picklist(
  LOG_LEVELS,
  `expected one of ${LOG_LEVELS.join(", ")}`,
);

/** A number of bytes, written as a whole number. */
export function bytesSetting(
  min: number,
  max: number,
): v.GenericSchema<string, number> {
  const rule = `expected a whole number of bytes from ${min} to ${max}`;
  return v.pipe(
    v.string(),
    v.regex(/^\d{1,16}$/, rule),
    v.transform(Number),
    v.minValue(min, rule),
    v.maxValue(max, rule),
  );
}

/** A schema of a conversion that throws what it cannot convert. */
function converted<T>(
  rule: string,
  convert: (text: string) => T,
): v.GenericSchema<string, T> {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }): T => {
      try {
        return convert(dataset.value);
      } catch (error) {
        addIssue({ message: rule || ruleOf(error) });
        return NEVER;
      }
    }),
  );
}

function toTcpAddress(text: string): TcpAddress {
  const address: Address = parseAddress(text);
  if (isUnixAddress(address)) throw new RangeError(TCP_RULE);
  return address;
}

function checkedName(kind: "user" | "machine"): (text: string) => string {
  return (text) => {
    checkName(kind, text);
    return text;
  };
}

/** The part of a message that tells the rule: what follows the quoted value. */
function ruleOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const start = message.lastIndexOf('": ');
  return start === -1 ? message : message.slice(start + 3);
}
