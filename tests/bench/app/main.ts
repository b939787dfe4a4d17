/**
 * An app of the bench as a process of its own: settings as its argument, commands
 * on stdin, an answer to each on stdout (protocol.ts).
 *
 * @module
 */

import { LineQueue } from "../../process/line_queue.ts";
import { App } from "./app.ts";
import { loadDriver } from "./drivers.ts";
import type { AppAnswer, AppCommand, AppSettings } from "./protocol.ts";

function say(answer: AppAnswer): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(answer)}\n`);
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}

async function answer(app: App, line: string): Promise<AppAnswer> {
  const command: AppCommand = JSON.parse(line);
  try {
    return { ok: await app.obey(command) ?? null };
  } catch (error) {
    const text = error instanceof Error ? error.stack : undefined;
    return { error: `${command.do}: ${text ?? error}` };
  }
}

async function run(settings: AppSettings): Promise<void> {
  const app = new App(settings, await loadDriver(settings.driver));
  const lines = new LineQueue();
  void lines.fill(Deno.stdin.readable);
  say({ ok: "ready" });
  for (let line; (line = await lines.next()) !== null;) {
    say(await answer(app, line));
  }
}

if (import.meta.main) {
  await run(JSON.parse(Deno.args[0]!));
  Deno.exit(0);
}
