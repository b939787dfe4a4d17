/**
 * How much memory a process holds.
 *
 * @module
 */

/** Resident bytes of a process, as `ps` tells. Not on Windows. */
export async function residentBytes(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ps", {
    args: ["-o", "rss=", "-p", String(pid)],
  }).output();
  const kibibytes = Number(new TextDecoder().decode(stdout).trim() || NaN);
  if (Number.isNaN(kibibytes)) throw new Error(`ps knows no process ${pid}`);
  return kibibytes * 1024;
}
