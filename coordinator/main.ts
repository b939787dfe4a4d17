/**
 * A coordinator as a program: `deno task coordinator`.
 *
 * | exit code | when |
 * | --- | --- |
 * | 0 | ended by SIGINT or SIGTERM, or it had only to print something |
 * | 1 | it could not start, or not go on: one line on stderr |
 * | 2 | bad usage: one line on stderr |
 * | 130, 143 | a second signal ended it at once |
 *
 * @module
 */

import { parseArgs } from "../deps/cli.ts";
import { MomError } from "../mod.ts";
import { createLogger } from "./program/log.ts";
import { type ProgramSettings, readSettings } from "./program/settings.ts";
import { CoordinatorNode } from "./server/node.ts";
import { pause, systemClock } from "./system.ts";

/** A second signal counts when it comes so long after the first. */
const SECOND_SIGNAL_MS = 500;
/** How long the end may take. */
const STOP_MS = 5_000;
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

const result = readSettings(
  Deno.args,
  readVariable,
  (args, options) => parseArgs(args, options),
);
switch (result.kind) {
  case "print":
    write(Deno.stdout, result.text);
    break;
  case "bad_usage":
    write(
      Deno.stderr,
      toErrorLine(new MomError("option_invalid", result.message)),
    );
    Deno.exit(2);
    break;
  case "run":
    await run(result.settings);
}

async function run(settings: ProgramSettings): Promise<void> {
  const signalled = onSignal();
  for (const event of ["error", "unhandledrejection"] as const) {
    globalThis.addEventListener(event, (happened) => {
      happened.preventDefault();
      fail("reason" in happened ? happened.reason : happened.error);
    });
  }
  try {
    const starting = start(settings);
    const node = await Promise.race([starting, signalled]);
    if (node === null) Deno.exit(0);
    tellReady(node, settings);
    const failed = node.failed.then((error): never => {
      throw error;
    });
    await Promise.race([signalled, failed]);
    await Promise.race([node.stop(), pause(systemClock, STOP_MS)]);
    Deno.exit(0);
  } catch (error) {
    fail(error);
  }
}

async function start(settings: ProgramSettings): Promise<CoordinatorNode> {
  const { tokenFile, logLevel, ...rest } = settings;
  const logger = createLogger(
    logLevel,
    Deno.stderr.isTerminal(),
    systemClock.wallMs,
    (line) => write(Deno.stderr, line),
  );
  const token = tokenFile === undefined
    ? undefined
    : await readToken(tokenFile);
  return await CoordinatorNode.start({
    ...rest,
    ...token !== undefined && { token },
    logger,
  });
}

async function readToken(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (cause) {
    throw new MomError(
      "option_invalid",
      `Cannot use --token-file "${path}": it cannot be read`,
      { cause },
    );
  }
}

function tellReady(
  { shards }: CoordinatorNode,
  { id, of, daemon }: ProgramSettings,
): void {
  if (Deno.stdout.isTerminal()) {
    const list = shards.join(", ");
    write(
      Deno.stdout,
      `mom coordinator ${id} of ${of} serves shards ${list}\n`,
    );
    return;
  }
  const line = {
    event: "listening",
    role: "coordinator",
    pid: Deno.pid,
    id,
    of,
    shards,
    address: daemon ?? readVariable("MOM_DAEMON") ?? null,
  };
  write(Deno.stdout, `${JSON.stringify(line)}\n`);
}

/** Resolves at the first signal; a second one ends the process. */
function onSignal(): Promise<null> {
  let firstMs: number | null = null;
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      if (signal === "SIGTERM" && Deno.build.os === "windows") continue;
      Deno.addSignalListener(signal, () => {
        const nowMs = systemClock.monotonicMs();
        firstMs ??= nowMs;
        // A terminal and a task runner may both pass on the same Ctrl+C.
        if (nowMs - firstMs > SECOND_SIGNAL_MS) Deno.exit(SIGNALS[signal]);
        resolve(null);
      });
    }
  });
}

function readVariable(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  if (state !== "granted") return undefined;
  return Deno.env.get(name) || undefined;
}

function fail(error: unknown): never {
  write(Deno.stderr, toErrorLine(error));
  Deno.exit(1);
}

function toErrorLine(error: unknown): string {
  const code = error instanceof MomError ? error.code : "internal";
  const message = error instanceof Error ? error.message : String(error);
  return `error: ${code} ${message.replace(/\s*[\r\n]+\s*/g, " ")}\n`;
}

function write(
  file: { writeSync(bytes: Uint8Array): number },
  text: string,
): void {
  let rest: Uint8Array = new TextEncoder().encode(text);
  try {
    while (rest.length > 0) rest = rest.subarray(file.writeSync(rest));
  } catch (error) {
    // Nobody reads it any more; that must not end the program.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
