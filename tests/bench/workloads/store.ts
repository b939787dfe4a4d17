/**
 * Our store alone, in a process of its own.
 *
 * @module
 */

import { TempFolder } from "../../helpers/temp_folder.ts";
import type { StoreFigure } from "../app/store.ts";
import { startPlainApp } from "../bench_app.ts";
import { usageDuring } from "../process_usage.ts";
import type { Outcome } from "../row.ts";

const PARTS = 5;

/** One repetition; the seconds are shared by its parts. */
export async function measureStoreAlone(seconds: number): Promise<Outcome[]> {
  await using folder = await TempFolder.make();
  await using app = await startPlainApp("store");
  const { usage, result } = await usageDuring(
    { store: app.pid },
    () =>
      app.call<StoreFigure[]>({
        do: "store",
        folder: folder.path,
        seconds: seconds / PARTS,
      }),
  );
  return result.map(({ name, value, unit }) => ({
    variant: name,
    value,
    unit,
    messages: 0,
    lost: 0,
    reordered: 0,
    usage,
  }));
}
