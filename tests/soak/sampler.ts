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

/** Takes the figures of all subjects. */
export async function sample(
  subjects: readonly Subject[],
  atMs: number,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const subject of subjects) {
    const { name } = subject;
    for (const [figure, value] of Object.entries(await figuresOf(subject))) {
      samples.push({ subject: name, figure: figure as Figure, atMs, value });
    }
  }
  return samples;
}

async function figuresOf(
  { pid, folder }: Subject,
): Promise<Partial<Record<Figure, number>>> {
  const data = folder === undefined ? {} : { dataBytes: await bytesIn(folder) };
  const id = pid();
  if (id === null) return data;
  try {
    const status = await Deno.readTextFile(`/proc/${id}/status`);
    const [, kibibytes] = /^VmRSS:\s*(\d+) kB$/m.exec(status) ?? [];
    let openFiles = 0;
    for await (const _ of Deno.readDir(`/proc/${id}/fd`)) openFiles++;
    // Between its end and its burial a process has no memory.
    if (kibibytes === undefined) return data;
    return { ...data, residentBytes: Number(kibibytes) * 1024, openFiles };
  } catch (error) {
    // It was killed in this moment.
    if (isGone(error)) return data;
    throw error;
  }
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile) continue;
    try {
      bytes += (await Deno.stat(`${folder}/${name}`)).size;
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return bytes;
}

function isGone(error: unknown): boolean {
  // ESRCH has no class of its own.
  return error instanceof Deno.errors.NotFound ||
    (error instanceof Error && error.message.includes("os error 3"));
}
