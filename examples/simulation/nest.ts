/**
 * The folder in which all processes of a simulation live, and the guard who ends
 * them if the simulation cannot.
 *
 * @module
 */

import { type Place, spawnGuard } from "./program.ts";

/** A folder that is removed in the end, whatever the end is. */
export class Nest implements Place, AsyncDisposable {
  readonly folder: string;
  readonly #guard: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  private constructor(folder: string) {
    this.folder = folder;
    this.#guard = spawnGuard(folder);
    this.#orders = this.#guard.stdin.getWriter();
  }

  /** Makes the folder. */
  static async make(): Promise<Nest> {
    return new Nest(await Deno.makeTempDir({ prefix: "mom-" }));
  }

  /** A process was started in it. */
  onSpawn(child: Deno.ChildProcess): void {
    this.#order(`+${child.pid}`);
    void child.status.then(() => this.#order(`-${child.pid}`));
  }

  /** Removes the folder; all processes must have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
    await this.#orders.close();
    await this.#guard.status;
  }

  #order(line: string): void {
    this.#orders.write(new TextEncoder().encode(`${line}\n`))
      // Without its guard a simulation goes on all the same.
      .catch(() => {});
  }
}
