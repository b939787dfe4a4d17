/**
 * The usage text of a program, made from its settings.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import {
  flagOf,
  isSwitch,
  type ProgramSpec,
  variableOf,
} from "./program_spec.ts";
import type { SettingNotes } from "./setting_kinds.ts";

/** Where a line of help is broken. */
const WIDTH = 80;

/** What `--help` prints. */
export function usageOf(spec: ProgramSpec): string {
  const operands = spec.operands?.names.join(" ");
  const line = ["Usage:", spec.command, operands && `[${operands}]`, "[flags]"];
  const rows = Object.entries(spec.settings.entries).map(([name, schema]) =>
    rowOf(name, schema as v.GenericSchema)
  );
  return [
    spec.summary,
    "",
    line.filter((part) => part !== undefined).join(" "),
    "",
    "Flags, each with its environment variable:",
    ...rows,
    "  --help, -h\n      Prints this",
    "  --version\n      Prints version and commit",
    "",
  ].join("\n");
}

function rowOf(name: string, schema: v.GenericSchema): string {
  const notes = v.getMetadata(schema) as Partial<SettingNotes>;
  const value = isSwitch(schema) ? "" : ` ${notes.placeholder ?? "VALUE"}`;
  const fallback = notes.defaultText ?? defaultOf(schema);
  const help = [notes.help, fallback && `(default: ${fallback})`];
  const text = help.filter((part) => part).join(" ");
  return `  ${flagOf(name)}${value}   ${variableOf(name)}\n${indent(text)}`;
}

function defaultOf(schema: v.GenericSchema): string | undefined {
  const value = (schema as { default?: unknown }).default;
  return typeof value === "string" ? value : undefined;
}

function indent(text: string): string {
  const lines: string[] = [];
  let line = "     ";
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== "") {
      lines.push(line);
      line = "     ";
    }
    line += ` ${word}`;
  }
  return [...lines, line].join("\n");
}
