/**
 * What a `wait` was granted.
 *
 * @module
 */

import { MomError } from "../../mod.ts";

/** What a permit needs of who granted it. */
export interface PermitOwner {
  /** Gives it back. */
  release(permit: Permit): Promise<void>;
}

/**
 * A place in a semaphore, held until it is given back, its client ends, or the
 * client's lease is lost. Made by {@linkcode Semaphore.wait}; with `await using` it
 * is given back at the end of the block.
 *
 * @example
 * ```ts ignore
 * {
 *   await using permit = await coordinator.semaphore("door").wait();
 *   await storage.write({ fence: permit.token });
 * }
 * ```
 */
export class Permit implements AsyncDisposable {
  /** Of which semaphore, in upper case. */
  readonly name: string;
  /**
   * The fencing token: larger than that of every grant before. What a holder
   * writes elsewhere should carry it, so that one with a smaller token, who lost its
   * lease without noticing, can be turned away there.
   */
  readonly token: number;
  readonly #owner: PermitOwner;
  #releasing: Promise<void> | null = null;
  #isOver = false;
  #isLost = false;

  /** Use {@linkcode Semaphore.wait}. */
  constructor(name: string, token: number, owner: PermitOwner) {
    this.name = name;
    this.token = token;
    this.#owner = owner;
  }

  /** Whether it is known that it is not held any more though it was not given back. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /**
   * Gives the permit back. Twice does nothing more than once.
   *
   * @throws {MomError} `lease_lost` if it was not held any more: somebody else may
   *   have been in meanwhile. `destroyed` if there is no such semaphore any more;
   *   `outcome_unknown` if no answer came in time: try again; `closed`.
   */
  release(): Promise<void> {
    return this.#releasing ??= this.#release();
  }

  /** Gives it back if nobody has. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#releasing === null) await this.release();
  }

  /** It was given back in another way, or nothing is held. */
  settle(): void {
    this.#isOver = true;
  }

  /** It is not held any more. */
  lose(): void {
    this.#isLost = !this.#isOver;
  }

  async #release(): Promise<void> {
    if (this.#isOver) return;
    try {
      if (this.#isLost) throw lost(this);
      await this.#owner.release(this);
      this.#isOver = true;
    } catch (error) {
      const code = error instanceof MomError ? error.code : "";
      if (code === "lease_lost") this.#isLost = true;
      if (code === "outcome_unknown") this.#releasing = null;
      throw error;
    }
  }
}

function lost({ name, token }: Permit): MomError {
  return new MomError(
    "lease_lost",
    `Cannot release permit ${token} of "${name}": its client was not heard of ` +
      "for its lease, and the permit was given back",
  );
}
