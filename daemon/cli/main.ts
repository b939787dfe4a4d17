/**
 * The shell as a program: `deno task shell`.
 *
 * @module
 */

import { parseArgs } from "../../deps/cli.ts";
import { exitAfter, settingsOrExit } from "../../program/exit.ts";
import { type Host, processHost } from "../../program/host.ts";
import { readTokenFile } from "../../program/tokens.ts";
import { MomError } from "../../protocol/errors.ts";
import { Mom } from "../client.ts";
import { linesOf } from "./lines.ts";
import { SHELL_PROGRAM } from "./settings.ts";
import { runShell } from "./shell.ts";

const host: Host = processHost;

const settings = settingsOrExit({
  host,
  spec: SHELL_PROGRAM,
  parse: (args, options) => parseArgs(args, options),
});
if (settings !== null) await exitAfter(host, () => live(settings));

async function live(
  { name, daemon, tokenFile }: NonNullable<typeof settings>,
): Promise<void> {
  const ending = new AbortController();
  const ended = new Promise<void>((resolve) =>
    ending.signal.addEventListener("abort", () => resolve(), { once: true })
  );
  host.onSignal(() => ending.abort());
  const token = tokenFile === undefined ? null : await readToken(tokenFile);
  const mom = await Mom.connect({
    ...(name !== undefined && { name }),
    ...(daemon !== undefined && { daemon }),
    ...(token !== null && { token }),
  });
  try {
    const isTerminal = Deno.stdin.isTerminal() && host.isOutputTerminal;
    const running = runShell(mom, {
      lines: linesOf(Deno.stdin.readable),
      writeOutput: (text) => host.writeOutput(text),
      writeError: (text) => host.writeError(text),
      isTerminal,
      hasColour: !Deno.noColor,
      signal: ending.signal,
    });
    // Reading the keyboard cannot be ended from here; the process's end does it.
    await Promise.race([running, ended]);
  } finally {
    await mom.close();
  }
}

async function readToken(path: string): Promise<string> {
  const token = await readTokenFile(path);
  if (token !== null) return token;
  throw new MomError(
    "option_invalid",
    `Cannot use --token-file "${path}": there is no such file`,
  );
}
