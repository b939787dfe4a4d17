/**
 * The life of a program: settings, start, the ready line, and its end by a
 * signal.
 *
 * | exit code | when |
 * | --- | --- |
 * | 0 | ended by a signal, or it had only to print something |
 * | 1 | it could not start, or not go on: one line on stderr |
 * | 2 | bad usage: one line on stderr |
 * | 130, 143 | a second SIGINT or SIGTERM ended it at once |
 *
 * @module
 */

import type * as v from "../deps/valibot.ts";
import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { type FormatVersions, versionLine } from "./build.ts";
import type { EndSignal, Host } from "./host.ts";
import { createLogger, type Logger, type LogLevel } from "./log.ts";
import type { ProgramSpec, SettingsSchema } from "./program_spec.ts";
import { type ParseArguments, readSettings } from "./settings.ts";

/** A second signal counts when it comes so long after the first. */
export const SECOND_SIGNAL_MS = 500;

const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** What a started program tells, and how to end it. */
export interface RunningProgram {
  /** What the ready line says after `event`, `role` and `pid`. */
  ready: {
    /** Where it listens, as text. */
    address: string;
    /** Where its HTTP side listens; `null` if it has none. */
    http: string | null;
    /** Its data folder. */
    data: string;
  };
  /** Finishes what was accepted and ends. */
  stop(): Promise<void>;
  /** Resolves with the reason when it cannot go on; never otherwise. */
  failed?: Promise<unknown>;
}

/** What makes a program. */
export interface RunProgramOptions<S extends SettingsSchema> {
  /** What it is: `broker`, `daemon`. */
  role: string;
  /** What it is called and can be told. */
  spec: ProgramSpec<S>;
  /** Splits the command line. */
  parse: ParseArguments;
  /** The process it runs in. */
  host: Host;
  /** Versions of what it keeps, for `--version`. */
  formats?: FormatVersions;
  /** Starts it; it listens when this resolves. */
  start(
    settings: v.InferOutput<S>,
    logger: Logger,
  ): Promise<RunningProgram>;
}

/** Runs a program to its end; `host.exit` is called when this resolves. */
export async function runProgram<S extends SettingsSchema>(
  options: RunProgramOptions<S>,
): Promise<void> {
  const settings = settingsOrExit(options);
  if (settings !== null) await live(options, settings);
}

/**
 * A program's settings; or `null` when there is nothing to run, because help or
 * version were asked for or the usage is bad: then all is printed and
 * `host.exit` called.
 */
export function settingsOrExit<S extends SettingsSchema>(
  options: Pick<
    RunProgramOptions<S>,
    "host" | "spec" | "parse" | "formats"
  >,
): v.InferOutput<S> | null {
  const { host, spec, parse } = options;
  const { args, environment } = host;
  const result = readSettings(spec, { args, environment, parse });
  switch (result.kind) {
    case "run":
      return result.settings;
    case "help":
      host.writeOutput(result.text);
      host.exit(0);
      return null;
    case "version":
      host.writeOutput(`${versionLine(options.formats)}\n`);
      host.exit(0);
      return null;
    case "bad_usage": {
      const error = new MomError("option_invalid", result.message);
      host.writeError(toErrorLine(error));
      host.exit(2);
      return null;
    }
    default:
      return result satisfies never;
  }
}

/** `error: CODE message`, on one line. */
export function toErrorLine(error: unknown): string {
  const code = error instanceof MomError ? error.code : "internal";
  const message = error instanceof Error ? error.message : String(error);
  return `error: ${code} ${message.replace(/\s*[\r\n]+\s*/g, " ")}\n`;
}

async function live<S extends SettingsSchema>(
  options: RunProgramOptions<S>,
  settings: v.InferOutput<S>,
): Promise<void> {
  const { host } = options;
  const isHidden = host.hideFiles();
  const logger = createLogger({
    write: (line) => host.writeError(line),
    format: host.isErrorTerminal ? "human" : "json",
    level: (settings as { logLevel?: LogLevel }).logLevel ?? "info",
    clock: host.clock,
  });
  // What lies in folders of our own is safe all the same: nobody else gets in.
  if (!isHidden) logger.debug("umask_kept");
  const life = new Life(host, logger);
  try {
    const program = await life.unlessEnded(options.start(settings, logger));
    if (program === null) return;
    host.writeOutput(toReadyLine(options.role, host, program));
    await life.untilEnded(program);
  } catch (error) {
    life.fail(error);
  }
}

/** From the first moment to the exit, of which there is exactly one. */
class Life {
  readonly #host: Host;
  readonly #logger: Logger;
  readonly #signalled: Promise<EndSignal>;
  #firstSignalMs: number | null = null;
  #isOver = false;

  constructor(host: Host, logger: Logger) {
    this.#host = host;
    this.#logger = logger;
    this.#signalled = new Promise((resolve) =>
      host.onSignal((signal) => this.#onSignal(signal, resolve))
    );
    host.onDefect((error) => this.fail(error));
  }

  /** What has started; or `null` when a signal came first and its time ran out. */
  async unlessEnded(
    starting: Promise<RunningProgram>,
  ): Promise<RunningProgram | null> {
    const first = await Promise.race([starting, this.#signalled]);
    if (typeof first !== "string") return first;
    // Ended before it had begun: it is let begin, so that it can end in order.
    await this.#end(first, async () => await (await starting).stop());
    return null;
  }

  /** Waits for a signal or a failure, and ends. */
  async untilEnded(program: RunningProgram): Promise<void> {
    const failed = program.failed?.then((error): never => {
      throw error;
    });
    const waits = failed === undefined ? [] : [failed];
    const signal = await Promise.race([this.#signalled, ...waits]);
    await this.#end(signal, () => program.stop());
  }

  /** Ends with an error. */
  fail(error: unknown): void {
    if (this.#isOver) return;
    if (!(error instanceof MomError) && error instanceof Error) {
      this.#logger.error("defect", { error, stack: error.stack });
    }
    this.#host.writeError(toErrorLine(error));
    this.#exit(1);
  }

  async #end(signal: EndSignal, stop: () => Promise<void>): Promise<void> {
    this.#logger.info("signal", { signal });
    const inTime = await this.#inTime(stop());
    if (!inTime) this.#logger.warn("stopped_late", { afterMs: LIMITS.closeMs });
    this.#exit(0);
  }

  #inTime(stopping: Promise<void>): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const { clock } = this.#host;
      const timer = clock.setTimer(LIMITS.closeMs, () => resolve(false));
      stopping.then(() => resolve(true), reject).finally(() => timer.cancel());
    });
  }

  #onSignal(signal: EndSignal, tell: (signal: EndSignal) => void): void {
    const now = this.#host.clock.monotonicMs();
    this.#firstSignalMs ??= now;
    // A terminal and a task runner may both pass on the same Ctrl+C.
    const isSecond = now - this.#firstSignalMs > SECOND_SIGNAL_MS;
    if (isSecond) this.#exit(SIGNAL_CODES[signal]);
    else tell(signal);
  }

  #exit(code: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.exit(code);
  }
}

function toReadyLine(
  role: string,
  host: Host,
  { ready }: RunningProgram,
): string {
  const { address, http, data } = ready;
  if (host.isOutputTerminal) {
    const web = http === null ? "" : `, HTTP on ${http}`;
    return `mom ${role} listens on ${address}${web}, data in ${data}\n`;
  }
  const line = { event: "listening", role, pid: host.pid, address, http, data };
  return `${JSON.stringify(line)}\n`;
}
