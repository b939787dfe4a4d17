/**
 * A small disk of the test's own: a tmpfs, where the system lets us mount one.
 *
 * @module
 */

const MIB = 1024 * 1024;

/** Why no disk can be had here; `null` where one can. */
export const noSmallDisk: string | null = tryMount();

/** A test that needs a small disk; skipped, and told why, where there is none. */
export function diskTest(name: string, fn: () => Promise<void>): void {
  const ignore = noSmallDisk !== null;
  Deno.test({
    name: ignore ? `${name} (skipped: ${noSmallDisk})` : name,
    ignore,
    fn,
  });
}

/** A mounted disk; disposing unmounts it. */
export class SmallDisk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  #junk = 0;

  private constructor(path: string) {
    this.path = path;
  }

  /** Mounts a disk of so many MiB. */
  static async make(mib: number): Promise<SmallDisk> {
    const path = await Deno.makeTempDir({ prefix: "mom-disk-" });
    const failure = run(
      "mount",
      "-t",
      "tmpfs",
      "-o",
      `size=${mib}m`,
      "mom",
      path,
    );
    if (failure === null) return new SmallDisk(path);
    await Deno.remove(path);
    throw new Error(`Cannot mount: ${failure}`);
  }

  /** Another program fills it to the last byte. */
  async fill(): Promise<void> {
    const path = `${this.path}/junk${this.#junk++}`;
    using file = await Deno.open(path, { write: true, createNew: true });
    const bytes = new Uint8Array(MIB);
    for (let size = bytes.length; size >= 1;) {
      try {
        await file.write(bytes.subarray(0, size));
      } catch {
        // That much is not free any more.
        size = Math.floor(size / 2);
      }
    }
  }

  /** … and takes its files away again. */
  async empty(): Promise<void> {
    for (let i = 0; i < this.#junk; i++) {
      await Deno.remove(`${this.path}/junk${i}`);
    }
    this.#junk = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Who still has a file open there does not keep it.
    if (run("umount", this.path) !== null) run("umount", "-l", this.path);
    await Deno.remove(this.path);
  }
}

function tryMount(): string | null {
  if (Deno.build.os !== "linux") return "tmpfs is for Linux";
  const path = Deno.makeTempDirSync({ prefix: "mom-disk-" });
  const failure = run("mount", "-t", "tmpfs", "-o", "size=1m", "mom", path);
  if (failure === null) run("umount", path);
  Deno.removeSync(path);
  return failure;
}

/** What went wrong, `null` if nothing did. */
function run(program: string, ...args: string[]): string | null {
  try {
    const { success, stderr } = new Deno.Command(program, { args })
      .outputSync();
    return success ? null : new TextDecoder().decode(stderr).trim();
  } catch (error) {
    return String(error);
  }
}
