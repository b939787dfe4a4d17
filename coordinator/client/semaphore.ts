/**
 * A semaphore, as apps use it.
 *
 * @module
 */

import type { Caller } from "./caller.ts";
import {
  type OperationOptions,
  readWaitOptions,
  type WaitOptions,
} from "./options.ts";
import type { Permit } from "./permit.ts";

/**
 * A semaphore that all clients share: at most as many are in as it was made for,
 * and who waits is let in in the order of the waits. Given by
 * {@linkcode Coordinator.semaphore}; whether there is one of that name shows when it
 * is used.
 *
 * @example
 * ```ts ignore
 * const door = coordinator.semaphore("door");
 * await door.init(1);
 * const permit = await door.wait({ timeoutMs: 5_000 });
 * await permit.release();
 * await door.destroy();
 * ```
 */
export class Semaphore {
  /** Its name as it was given; case does not count. */
  readonly name: string;
  readonly #caller: Caller;

  /** Use {@linkcode Coordinator.semaphore}. */
  constructor(name: string, caller: Caller) {
    this.name = name;
    this.#caller = caller;
  }

  /**
   * Makes it.
   *
   * @param value How many may be in at once: an integer of at least 0.
   * @throws {MomError} `exists`; `option_invalid`; `storage_full`;
   *   `outcome_unknown` if no answer came in time
   *   (`timed_out` if nothing was sent); `closed`.
   */
  async init(value: number, options: OperationOptions = {}): Promise<void> {
    await this.#call("init", { value }, options);
  }

  /**
   * Waits to be let in.
   *
   * Whoever stops waiting (time-out, signal, end of the client) takes nothing: what
   * it may just have been granted goes to the next.
   *
   * @throws {MomError} `timed_out`; `unknown_name`; `destroyed` if that happened
   *   meanwhile; `storage_full`; `closed`. The signal's reason when that was aborted.
   */
  async wait(options: WaitOptions = {}): Promise<Permit> {
    const { timeoutMs = Infinity, signal, consume = false } = readWaitOptions(
      `wait for semaphore "${this.name}"`,
      options,
    );
    return await this.#caller.call(
      { op: "semaphore_wait", name: this.name, ...consume && { consume } },
      timeoutMs,
      signal,
    ) as Permit;
  }

  /**
   * Lets one in: the oldest who waits, else who comes next. One need not have
   * waited for that. A client that holds permits of this semaphore gives back its
   * oldest.
   *
   * @throws {MomError} `unknown_name`; `outcome_unknown` if no answer came in time
   *   (`timed_out` if nothing was sent); `closed`.
   */
  async signal(options: OperationOptions = {}): Promise<void> {
    await this.#call("signal", {}, options);
  }

  /**
   * Ends it: all who wait fail with `destroyed`.
   *
   * @throws {MomError} `unknown_name`; `outcome_unknown` if no answer came in time
   *   (`timed_out` if nothing was sent); `closed`.
   */
  async destroy(options: OperationOptions = {}): Promise<void> {
    await this.#call("destroy", {}, options);
  }

  async #call(
    operation: string,
    more: Record<string, unknown>,
    options: OperationOptions,
  ): Promise<unknown> {
    const { name } = this;
    const doing = `${operation} semaphore "${name}"`;
    const { timeoutMs, signal } = readWaitOptions(doing, options);
    const fields = { op: `semaphore_${operation}`, name, ...more };
    return await this.#caller.call(fields, timeoutMs, signal);
  }
}
