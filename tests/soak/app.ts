/**
 * An app of the soak, as a process of its own: writes at the pace it is told,
 * reads all the time, and tells of both (app_lines.ts).
 *
 * @module
 */

import { Mom } from "../../mod.ts";
import { LineQueue } from "../process/line_queue.ts";
import type { SoakAppSettings, SoakCommand, SoakLine } from "./app_lines.ts";
import { AppReader } from "./app_reader.ts";
import { AppWriter } from "./app_writer.ts";

const encoder = new TextEncoder();

function say(line: SoakLine): void {
  let rest: Uint8Array = encoder.encode(`${JSON.stringify(line)}\n`);
  while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

async function run(settings: SoakAppSettings): Promise<void> {
  const { daemon, broker, name, filter, isManual } = settings;
  const mom = await Mom.connect({ daemon, broker, name });
  const ack = isManual ? "manual" : undefined;
  if (filter !== null && settings.isFirst) await mom.subscribe(filter, { ack });
  const reader = new AppReader(mom, isManual, say);
  const writer = new AppWriter(mom, settings, say);
  const reading = filter === null ? Promise.resolve() : reader.run();
  say({ told: "ready" });
  await obey(writer);
  await writer.rest();
  await reader.settle();
  await mom.close();
  await reading;
  say({ told: "ended" });
}

/** Does what stdin says, until it says end or ends. */
async function obey(writer: AppWriter): Promise<void> {
  const lines = new LineQueue();
  void lines.fill(Deno.stdin.readable);
  while (true) {
    const line = await lines.next();
    if (line === null) return;
    const command: SoakCommand = JSON.parse(line);
    if (command.do === "end") return;
    if (command.do === "write") writer.start(command.rate);
    else await writer.rest().then(() => say({ told: "rested" }));
  }
}

if (import.meta.main) {
  await run(JSON.parse(Deno.args[0]));
  Deno.exit(0);
}
