/**
 * How much memory a process holds.
 *
 * @module
 */

/** Resident bytes of a process, on Linux. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kibibytes === undefined) throw new Error(`No VmRSS of process ${pid}`);
  return Number(kibibytes) * 1024;
}
