/**
 * What a program can be told, and how its settings are called on the command
 * line and in the environment.
 *
 * @module
 */

import type * as v from "../deps/valibot.ts";

/** The schema of a program's settings: an object of settings. */
export type SettingsSchema = v.ObjectSchema<v.ObjectEntries, undefined>;

/** What a program is called and can be told. */
export interface ProgramSpec<S extends SettingsSchema = SettingsSchema> {
  /** What it is called in its usage text: `deno task broker`. */
  readonly command: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  /** Its settings. */
  readonly settings: S;
  /** Operands that say the same as one of the settings. */
  readonly operands?: {
    /** Their names in the usage text; all are given, or none. */
    names: readonly string[];
    /** The setting that they stand for. */
    setting: string;
    /** Makes the setting's text of them. */
    join(operands: string[]): string;
  };
}

/** The flag of a setting: `--max-message-bytes`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (char) => `-${char.toLowerCase()}`)}`;
}

/** The environment variable of a setting: `MOM_MAX_MESSAGE_BYTES`. */
export function variableOf(name: string): string {
  return `MOM_${flagOf(name).slice(2).replaceAll("-", "_").toUpperCase()}`;
}

/** Whether a setting is yes or no, so that its flag takes no value. */
export function isSwitch(schema: v.GenericSchema): boolean {
  const inner = "wrapped" in schema
    ? schema.wrapped as v.GenericSchema
    : schema;
  return inner.type === "boolean";
}
