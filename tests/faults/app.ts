/**
 * An app under test, as a process of its own: writes when told, reads all the
 * time, and notes everything (app_protocol.ts, notes.ts).
 *
 * @module
 */

import { findToken } from "../../program/tokens.ts";
import { Mom } from "../../daemon/client.ts";
import { networkDialer } from "../../transport/dial.ts";
import { LineQueue } from "../process/line_queue.ts";
import type { AppCommand, AppEvent, AppSettings } from "./app_protocol.ts";
import { AppReader } from "./app_reader.ts";
import { write } from "./app_writer.ts";
import { NoteBook } from "./notes.ts";
import { NotingDialer } from "./noting_dialer.ts";

function say(event: AppEvent): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(event)}\n`);
  Deno.stdout.writeSync(bytes);
}

async function run(settings: AppSettings): Promise<void> {
  const { daemon, broker, tokenOf, name, filters, heartbeatMs } = settings;
  using book = new NoteBook(settings.notes);
  const dialer = new NotingDialer(
    networkDialer,
    (topic, from, to) => book.write({ kind: "confirmed", topic, from, to }),
  );
  const token = tokenOf === undefined
    ? undefined
    : await findToken(tokenOf) ?? undefined;
  const mom = await Mom.connect({
    daemon,
    broker,
    name,
    dialer,
    token,
    heartbeatMs,
  });
  book.write({ kind: "life", user: mom.user, filters });
  const ack = settings.ackEvery > 0 ? "manual" : undefined;
  if (settings.isFirst) {
    for (const filter of filters) await mom.subscribe(filter, { ack });
  }
  const reader = new AppReader(mom, settings, book);
  const reading = filters.length > 0 ? reader.run() : Promise.resolve();
  say({ event: "ready", user: mom.user });
  await obey(mom, book);
  await reader.settle();
  await mom.close();
  await reading;
  say({ event: "ended" });
}

/** Does what stdin says, until it says end or ends. */
async function obey(mom: Mom, book: NoteBook): Promise<void> {
  const lines = new LineQueue();
  const filling = lines.fill(Deno.stdin.readable);
  const jobs = new Set<Promise<void>>();
  while (true) {
    const line = await lines.next();
    if (line === null) break;
    const command: AppCommand = JSON.parse(line);
    if (command.do === "end") break;
    const { writer } = command;
    const job = write(mom, command, book)
      .then(() => say({ event: "written", writer }))
      .finally(() => jobs.delete(job));
    jobs.add(job);
  }
  await Promise.all(jobs);
  // Whoever said end leaves stdin open; the process's end closes it.
  void filling;
}

if (import.meta.main) {
  await run(JSON.parse(Deno.args[0]));
  Deno.exit(0);
}
