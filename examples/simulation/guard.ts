/**
 * Ends what a simulation has started when the simulation cannot do it any more,
 * because it was itself ended with SIGKILL: then this program's input ends.
 *
 * Its argument is the folder to remove; it is told a line for each process that is
 * there, `+PID`, or is not any more, `-PID`.
 *
 * @module
 */

const GONE_WITHIN_MS = 5_000;
const LOOK_MS = 20;

async function guard(
  folder: string,
  input: ReadableStream<string>,
): Promise<void> {
  const pids = new Set<number>();
  let rest = "";
  for await (const chunk of input) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("+")) pids.add(Number(line));
      else pids.delete(-Number(line));
    }
  }
  // The simulation has ended its processes and removed its folder by itself.
  if (pids.size === 0) return;
  const end = performance.now() + GONE_WITHIN_MS;
  // All of them each time: not only the first that is still there.
  while (
    [...pids].filter(isStillThere).length > 0 && performance.now() < end
  ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  await Deno.remove(folder, { recursive: true });
}

/** Ends a process; gives whether it was there. */
function isStillThere(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGKILL");
    return true;
  } catch (error) {
    const isGone = error instanceof Deno.errors.NotFound ||
      error instanceof TypeError;
    if (!isGone) throw error;
    return false;
  }
}

if (import.meta.main) {
  const orders = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  await guard(Deno.args[0]!, orders);
}
