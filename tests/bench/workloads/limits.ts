/**
 * What the machine gives, in the same run: a commit of Deno KV, full commits of
 * it, and a round trip over TCP between two processes. Targets are told in these.
 *
 * @module
 */

import { TempFolder } from "../../helpers/temp_folder.ts";
import { startPlainApp } from "../bench_app.ts";
import type { Outcome } from "../row.ts";

const SECONDS_MAX = 1;

/** One repetition. */
export async function measureLimits(seconds: number): Promise<Outcome[]> {
  const each = Math.min(SECONDS_MAX, seconds / 2);
  await using folder = await TempFolder.make();
  await using app = await startPlainApp("app");
  await using other = await startPlainApp("other");
  const inFolder = { folder: folder.path, seconds: each };
  const commit = await app.call<number>({ do: "kv-commits", ...inFolder });
  const bulk = await app.call<number>({ do: "kv-bulk", ...inFolder });
  const port = await other.call<number>({ do: "echo", seconds: each });
  const trip = await app.call<number>({
    do: "round-trips",
    port,
    seconds: each,
  });
  return [
    outcomeOf("a KV commit of 100 B, p50", commit, "us"),
    outcomeOf("KV commits of 12 × 60 KiB", bulk, "MB/s"),
    outcomeOf("a TCP round trip of 64 B, p50", trip, "us"),
  ];
}

function outcomeOf(variant: string, value: number, unit: string): Outcome {
  return { variant, value, unit, messages: 0, lost: 0, reordered: 0 };
}
