/**
 * What processes take: memory, open files, bytes on the disk. Linux only.
 *
 * @module
 */

/** What is measured. */
export const FIGURES = ["residentBytes", "openFiles", "dataBytes"] as const;

/** One of them. */
export type Figure = (typeof FIGURES)[number];

/** Something whose figures are taken again and again. */
export interface Subject {
  name: string;
  /** Its process at this moment; `null` while it has none. */
  pid(): number | null;
  /** Its data folder, if it has one. */
  folder?: string;
}

/** One value of one figure. */
export interface Sample {
  subject: string;
  figure: Figure;
  atMs: number;
  value: number;
}

/**
 * Takes the figures of all subjects. What has no process at this moment has no
 * figures but those of its data.
 */
export async function sample(
  subjects: readonly Subject[],
  atMs: number,
): Promise<Sample[]> {
  const pids = subjects.map(({ pid }) => pid());
  const there = pids.filter((pid) => pid !== null);
  const [memory, files] = await Promise.all([
    residentBytes(there),
    openFiles(there),
  ]);
  const samples: Sample[] = [];
  for (const [index, { name: subject, folder }] of subjects.entries()) {
    const add = (figure: Figure, value: number | undefined) => {
      if (value) samples.push({ subject, figure, atMs, value });
    };
    const pid = pids[index] ?? -1;
    add("residentBytes", memory.get(pid));
    add("openFiles", files.get(pid));
    if (folder !== undefined) add("dataBytes", await bytesIn(folder));
  }
  return samples;
}

/** By process; those that are gone are missing. */
async function residentBytes(
  pids: readonly number[],
): Promise<Map<number, number>> {
  const text = await outputOf("ps", ["-o", "pid=,rss=", "-p", pids.join(",")]);
  const rows = text.matchAll(/^\s*(\d+)\s+(\d+)$/gm);
  return new Map(
    [...rows].map(([, pid, kibibytes]) => [
      Number(pid),
      Number(kibibytes) * 1024,
    ]),
  );
}

/** By process; those that are gone are missing. */
async function openFiles(
  pids: readonly number[],
): Promise<Map<number, number>> {
  const folders = pids.map((pid) => `/proc/${pid}/fd`);
  // With two folders or more ls tells which is which.
  const text = await outputOf("ls", ["-1", ...folders, "/proc/self/fd"]);
  const parts = text.split(/^\/proc\/(\w+)\/fd:\n/m).slice(1);
  const counts = new Map<number, number>();
  for (let at = 0; at < parts.length; at += 2) {
    counts.set(Number(parts[at]), parts[at + 1]!.match(/^\d+$/gm)?.length ?? 0);
  }
  return counts;
}

async function outputOf(program: string, args: string[]): Promise<string> {
  // Deno may look into /proc only if it may do everything; these may.
  const { stdout } = await new Deno.Command(program, {
    args,
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile) continue;
    try {
      bytes += (await Deno.stat(`${folder}/${name}`)).size;
    } catch (error) {
      // The database comes and goes with its journal.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return bytes;
}
