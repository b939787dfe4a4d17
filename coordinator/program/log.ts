/**
 * The program's log: a line of JSON an event, for people on a terminal a line of
 * text.
 *
 * @module
 */

import type { LogFields, Logger } from "../../mod.ts";

const LEVELS = ["debug", "info", "warn", "error", "off"] as const;

/** Makes the program's log. */
export function createLogger(
  level: typeof LEVELS[number],
  isTerminal: boolean,
  wallMs: () => number,
  write: (line: string) => void,
): Logger {
  const tell = (at: typeof LEVELS[number]) => {
    if (LEVELS.indexOf(at) < LEVELS.indexOf(level)) return () => {};
    return (event: string, fields: LogFields = {}) => {
      const time = new Date(wallMs()).toISOString();
      const plain = Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name, toPlain(value)]),
      );
      const line = isTerminal
        ? `${time.slice(11, 23)} ${at.toUpperCase().padEnd(5)} ${event} ${
          Object.entries(plain).map(([name, value]) =>
            `${name}=${JSON.stringify(value)}`
          ).join(" ")
        }`
        : JSON.stringify({ time, level: at, event, ...plain });
      write(`${line}\n`);
    };
  };
  return {
    debug: tell("debug"),
    info: tell("info"),
    warn: tell("warn"),
    error: tell("error"),
  };
}

function toPlain(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const code = (value as { code?: unknown }).code;
  return { ...typeof code === "string" && { code }, message: value.message };
}
