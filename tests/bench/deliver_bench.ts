/**
 * How many messages a second go from app to app over two daemons and a broker,
 * five processes, every message on the broker's disk before its receipt:
 *
 *     deno run -A tests/bench/deliver_bench.ts [SECONDS] [VALUE_BYTES]
 *
 * The time runs from the first publish to the last receive.
 *
 * @module
 */

import { within } from "../helpers/eventually.ts";
import { Cluster } from "../process/cluster.ts";
import { testCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import type { DeliverSettings, DeliverTold } from "./deliver_app.ts";

/** What a run of the bench shows. */
export interface DeliverReport {
  messages: number;
  seconds: number;
  messagesPerSecond: number;
}

/** Options of {@linkcode benchDeliver}. */
export interface DeliverOptions {
  /** @default {6} */
  seconds?: number;
  /** @default {100} */
  valueBytes?: number;
  /** @default {10_000} */
  inFlight?: number;
}

/** Runs the bench once. */
export async function benchDeliver(
  options: DeliverOptions = {},
): Promise<DeliverReport> {
  const { seconds = 6, valueBytes = 100, inFlight = 10_000 } = options;
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  const start = (role: "write" | "read", machine: string) => {
    const settings: DeliverSettings = {
      role,
      daemon: cluster.daemonAddress(machine),
      topic: "bench",
      valueBytes,
      inFlight,
      durationMs: seconds * 1_000,
    };
    return new Program({
      name: role,
      command: testCommand("tests/bench/deliver_app.ts"),
      args: [JSON.stringify(settings)],
      env: cluster.env,
    });
  };
  await using reader = start("read", "south");
  await using writer = start("write", "north");
  await told(reader);
  await told(writer);
  await writer.writeLine("go");
  const written = await told(writer) as DeliverTold;
  await reader.writeLine(String(written.count));
  const read = await told(reader) as DeliverTold;
  if (read.count !== written.count) {
    throw new Error(`${written.count} published, ${read.count} received`);
  }
  const took = (read.atMs - written.atMs) / 1_000;
  return {
    messages: read.count,
    seconds: took,
    messagesPerSecond: Math.round(read.count / took),
  };
}

async function told(program: Program): Promise<DeliverTold | "ready"> {
  const line = await within(
    `a line of ${program.name}; stderr: ${program.stderr}`,
    120_000,
    program.lines.next(),
  );
  if (line === null) throw new Error(`${program.name}: ${program.stderr}`);
  return JSON.parse(line);
}

if (import.meta.main) {
  const [seconds, valueBytes] = Deno.args.map(Number);
  const report = await benchDeliver({ seconds, valueBytes });
  const line = `${report.messagesPerSecond} msgs/s (${report.messages} of ` +
    `${valueBytes ?? 100} B in ${report.seconds.toFixed(2)} s)\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(line));
}
