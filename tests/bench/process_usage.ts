/**
 * What processes use, from `/proc`: on Linux alone, elsewhere nothing is told.
 *
 * @module
 */

/** By the names of the processes. */
export interface Usage {
  /** Seconds of all cores, in user and kernel. */
  cpuSeconds: Record<string, number>;
  /** The most that was resident since the start of the process. */
  peakMiB: Record<string, number>;
}

/** Processes by name. */
export type ProcessIds = Readonly<Record<string, number>>;

const TICKS_PER_SECOND = 100;

/** What the processes used up to now. */
export function readUsage(ids: ProcessIds): Usage {
  const usage: Usage = { cpuSeconds: {}, peakMiB: {} };
  if (Deno.build.os !== "linux") return usage;
  for (const [name, id] of Object.entries(ids)) {
    const read = (file: string) => Deno.readTextFileSync(`/proc/${id}/${file}`);
    usage.cpuSeconds[name] = cpuSecondsIn(read("stat"));
    usage.peakMiB[name] = mebibytesIn(read("status"), "VmHWM");
  }
  return usage;
}

/** What the processes used while `work` ran. */
export async function usageDuring<T>(
  ids: ProcessIds,
  work: () => Promise<T>,
): Promise<{ usage: Usage; result: T }> {
  const before = readUsage(ids);
  const result = await work();
  const usage = readUsage(ids);
  for (const name of Object.keys(usage.cpuSeconds)) {
    usage.cpuSeconds[name]! -= before.cpuSeconds[name]!;
  }
  return { usage, result };
}

/** What a process holds now, in MiB. */
export function residentMiB(id: number): number {
  if (Deno.build.os !== "linux") return NaN;
  return mebibytesIn(Deno.readTextFileSync(`/proc/${id}/status`), "VmRSS");
}

/** From `/proc/ID/stat`, whose second field may hold spaces and brackets. */
export function cpuSecondsIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** A line of `/proc/ID/status`, which tells KiB. */
export function mebibytesIn(status: string, line: string): number {
  const found = new RegExp(`^${line}:\\s+(\\d+) kB$`, "m").exec(status);
  return found === null ? NaN : Number(found[1]) / 1024;
}
