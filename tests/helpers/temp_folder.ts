/**
 * A folder that is gone after the test; with `MOM_TEST_KEEP=1` it stays, for who
 * looks for what went wrong.
 *
 * @module
 */

/** A fresh folder; disposing removes it with all that lies in it. */
export class TempFolder implements AsyncDisposable {
  /** Absolute and short: a unix socket's path has about 107 bytes. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes one. */
  static async make(): Promise<TempFolder> {
    return new TempFolder(await Deno.makeTempDir({ prefix: "mom-" }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (Deno.env.get("MOM_TEST_KEEP") === "1") return;
    await Deno.remove(this.path, { recursive: true });
  }
}
