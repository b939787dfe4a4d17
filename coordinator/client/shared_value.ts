/**
 * A value, as apps use it.
 *
 * @module
 */

import { MomError, type StandardSchema } from "../../mod.ts";
import type { Caller } from "./caller.ts";
import { type OperationOptions, readWaitOptions } from "./options.ts";

/**
 * A value that all clients share: any value that a message can carry, of some
 * 1 MiB at most. Given by {@linkcode Coordinator.value}; whether there is one of
 * that name shows when it is used.
 *
 * @example
 * ```ts ignore
 * const free = coordinator.value<number>("free");
 * await free.init(6);
 * const seen = await free.read();
 * if (await free.compareAndSet(seen, seen - 1)) console.log("one less");
 * ```
 */
export class SharedValue<T = unknown> {
  /** Its name as it was given; case does not count. */
  readonly name: string;
  readonly #caller: Caller;
  readonly #schema: StandardSchema<T> | null;

  /** Use {@linkcode Coordinator.value}. */
  constructor(
    name: string,
    caller: Caller,
    schema: StandardSchema<T> | null = null,
  ) {
    this.name = name;
    this.#caller = caller;
    this.#schema = schema;
  }

  /**
   * Makes it.
   *
   * @throws {MomError} `exists`; `value_unsupported` if it does not fit the schema
   *   or is more than 48 levels deep; `message_too_large`; `storage_full`;
   *   `outcome_unknown` if no answer came in time
   *   (`timed_out` if nothing was sent); `closed`.
   */
  async init(value: T, options: OperationOptions = {}): Promise<void> {
    await this.#put("init", value, { value }, options);
  }

  /**
   * What it is now: never older than what was written before the call.
   *
   * @throws {MomError} `unknown_name`; `value_unsupported` if it does not fit the
   *   schema; `outcome_unknown` if no answer came in time
   *   (`timed_out` if nothing was sent); `closed`.
   */
  async read(options: OperationOptions = {}): Promise<T> {
    const value = await this.#call("read", {}, options);
    if (this.#schema === null) return value as T;
    return await this.#check("read", value, this.#schema);
  }

  /**
   * Replaces it.
   *
   * @throws {MomError} `unknown_name`; `value_unsupported`, `message_too_large`,
   *   `storage_full`; `outcome_unknown` if no answer came in time
   *   (`timed_out` if nothing was sent); `closed`.
   */
  async write(value: T, options: OperationOptions = {}): Promise<void> {
    await this.#put("write", value, { value }, options);
  }

  /**
   * Replaces it if it is equal to `expected`: of the same kind, with the same
   * content.
   *
   * @returns Whether it was.
   * @throws {MomError} `unknown_name`; `value_unsupported`, `message_too_large`,
   *   `storage_full`; `outcome_unknown` if no answer came in time
   *   (`timed_out` if nothing was sent); `closed`.
   */
  async compareAndSet(
    expected: T,
    value: T,
    options: OperationOptions = {},
  ): Promise<boolean> {
    const fields = { expected, value };
    const operation = "compare_and_set";
    return await this.#put(operation, value, fields, options) === true;
  }

  /**
   * Ends it.
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
    const doing = `${operation} value "${name}"`;
    const { timeoutMs, signal } = readWaitOptions(doing, options);
    const fields = { op: `value_${operation}`, name, ...more };
    return await this.#caller.call(fields, timeoutMs, signal);
  }

  /** Without a schema it is on its way when this returns. */
  async #put(
    operation: string,
    value: T,
    fields: Record<string, unknown>,
    options: OperationOptions,
  ): Promise<unknown> {
    if (this.#schema !== null) {
      await this.#check(operation, value, this.#schema);
    }
    return await this.#call(operation, fields, options);
  }

  /** What the schema makes of a value. */
  async #check(
    operation: string,
    value: unknown,
    schema: StandardSchema<T>,
  ): Promise<T> {
    const result = await schema["~standard"].validate(value);
    if (result.issues === undefined) return result.value;
    throw new MomError(
      "value_unsupported",
      `Cannot ${operation} value "${this.name}": it does not fit the schema: ${
        result.issues[0]?.message ?? "no reason given"
      }`,
    );
  }
}
