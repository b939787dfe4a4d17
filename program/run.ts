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
import { type SettingsOptions, settingsOrExit, toErrorLine } from "./exit.ts";
import type { EndSignal, Host } from "./host.ts";
import { createLogger, type Logger, type LogLevel } from "./log.ts";
import type { SettingsSchema } from "./program_spec.ts";

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
export interface RunProgramOptions<S extends SettingsSchema>
  extends SettingsOptions<S> {
  /** What it is: `broker`, `daemon`. */
  role: string;
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
