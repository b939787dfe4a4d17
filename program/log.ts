/**
 * Logs: events with fields, one line each. For people on a terminal, else JSON.
 *
 * @module
 */

import { type Clock, systemClock } from "../protocol/clock.ts";

/** The levels, from the least to the most important. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "off"] as const;

/** A level; `off` lets nothing through. */
export type LogLevel = typeof LOG_LEVELS[number];

/** What belongs to an event: plain values; an `Error` tells code, message and cause. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where events are told. `event` is a short snake_case name, never a sentence. */
export interface Logger {
  /** For who looks for a fault. */
  debug(event: string, fields?: LogFields): void;
  /** Something that happens rarely and is as it should be. */
  info(event: string, fields?: LogFields): void;
  /** Something that somebody should look at. */
  warn(event: string, fields?: LogFields): void;
  /** Something failed. */
  error(event: string, fields?: LogFields): void;
}

/** Options of {@linkcode createLogger}. */
export interface CreateLoggerOptions {
  /** Takes one line, its end included. */
  write(line: string): void;
  /**
   * `human` for a terminal, `json` for machines.
   *
   * @default {"json"}
   */
  format?: "human" | "json";
  /**
   * The least important level that is told.
   *
   * @default {"info"}
   */
  level?: LogLevel;
  /** @default {systemClock} */
  clock?: Clock;
}

/** Tells nothing; what a library uses when it is given no logger. */
export const silentLogger: Logger = {
  debug(): void {},
  info(): void {},
  warn(): void {},
  error(): void {},
};

/** Makes a logger that writes lines. */
export function createLogger(options: CreateLoggerOptions): Logger {
  const { write, format = "json", level = "info", clock = systemClock } =
    options;
  const least = LOG_LEVELS.indexOf(level);
  const layOut = format === "human" ? toHumanLine : toJsonLine;
  const tell = (level: LogLevel) => {
    if (LOG_LEVELS.indexOf(level) < least) return () => {};
    return (event: string, fields: LogFields = {}) =>
      write(layOut(clock.wallMs(), level, event, fields));
  };
  return {
    debug: tell("debug"),
    info: tell("info"),
    warn: tell("warn"),
    error: tell("error"),
  };
}

/** A logger that adds `fields` to every event. */
export function withFields(logger: Logger, fields: LogFields): Logger {
  return {
    debug: (event, more) => logger.debug(event, { ...fields, ...more }),
    info: (event, more) => logger.info(event, { ...fields, ...more }),
    warn: (event, more) => logger.warn(event, { ...fields, ...more }),
    error: (event, more) => logger.error(event, { ...fields, ...more }),
  };
}

function toJsonLine(
  wallMs: number,
  level: LogLevel,
  event: string,
  fields: LogFields,
): string {
  const time = new Date(wallMs).toISOString();
  const head = { time, level, event };
  // First and last, so that no field can pass itself off as one of the three.
  const line = Object.assign({ ...head }, fields, head);
  return `${JSON.stringify(toPlain(line, 0))}\n`;
}

function toHumanLine(
  wallMs: number,
  level: LogLevel,
  event: string,
  fields: LogFields,
): string {
  const time = new Date(wallMs).toISOString().slice(11, 23);
  const parts = [time, level.toUpperCase().padEnd(5), escape(event)];
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) parts.push(`${name}=${toHumanValue(value)}`);
  }
  return `${parts.join(" ")}\n`;
}

function toHumanValue(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=\p{Cc}]+$/u.test(value)) {
    return value;
  }
  return JSON.stringify(toPlain(value, 0)) ?? "null";
}

/** Keeps a name from outside from writing control characters on a terminal. */
function escape(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => JSON.stringify(char).slice(1, -1));
}

/** What JSON can say of any value; at most a few levels deep. */
function toPlain(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "symbol" || typeof value === "function") {
    return String(value);
  }
  if (typeof value !== "object" || value === null) return value;
  if (depth > 5) return "…";
  if (value instanceof Error) return errorToPlain(value, depth);
  if (value instanceof Date) return String(value.toJSON());
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) {
    return value.map((each) => toPlain(each, depth + 1));
  }
  const entries = Object.entries(value).map(([name, each]) =>
    [name, toPlain(each, depth + 1)] as const
  );
  return Object.fromEntries(entries);
}

function errorToPlain(error: Error, depth: number): unknown {
  const code = (error as { code?: unknown }).code;
  return {
    ...(typeof code === "string" ? { code } : { name: error.name }),
    message: error.message,
    ...(error.cause === undefined
      ? {}
      : { cause: toPlain(error.cause, depth + 1) }),
  };
}
