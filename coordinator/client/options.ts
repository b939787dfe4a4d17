/**
 * What a client can be told.
 *
 * @module
 */

import * as v from "../../deps/valibot.ts";
import { type Clock, type Entropy, MomError } from "../../mod.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";

/** Options of {@linkcode Coordinator.connect}. */
export interface CoordinatorOptions {
  /** The number of coordinators, as all of them and all clients are told. */
  of: number;
  /**
   * The name of the set of coordinators, if there is more than one at the broker.
   *
   * @default None.
   */
  group?: string;
  /**
   * After how many milliseconds of silence this client counts as dead, and its
   * permits are given back.
   *
   * @default {5_000}
   */
  leaseMs?: number;
  /**
   * How many milliseconds an operation other than `wait` may take.
   *
   * @default {30_000}
   */
  timeoutMs?: number;
  /** Where the time comes from; for tests. @default The operating system's clock. */
  clock?: Clock;
  /** Where chance comes from; for tests. @default The operating system's. */
  entropy?: Entropy;
}

/** Options of an operation. */
export interface OperationOptions {
  /**
   * How many milliseconds to wait for the answer.
   *
   * @default That of {@linkcode Coordinator.connect}.
   */
  timeoutMs?: number;
  /** Ends the wait: the call rejects with its reason. @default None. */
  signal?: AbortSignal;
}

/** Options of {@linkcode Semaphore.wait}. */
export interface WaitOptions {
  /**
   * How many milliseconds to wait; then it rejects with `timed_out`, and nothing
   * was taken.
   *
   * @default No limit.
   */
  timeoutMs?: number;
  /** Ends the wait: it rejects with its reason, and nothing was taken. @default None. */
  signal?: AbortSignal;
  /**
   * Whether what is taken is taken for good: nothing is held, and nothing is given
   * back when this client ends. For who takes what others signal.
   *
   * @default {false}
   */
  consume?: boolean;
}

/** The text that names a set of coordinators; empty: it has no name. */
export const GROUP = /^[A-Za-z0-9_-]{0,24}$/;

const count = (max: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(max));
const duration = v.pipe(
  v.number(),
  v.check((ms) => ms >= 0, "must be at least 0"),
);
const hasMethod = <T>(method: string) =>
  v.custom<T>(
    (value) =>
      typeof (value as Record<string, unknown> | null)?.[method] === "function",
    `must have a method ${method}`,
  );

const connectSchema = v.object({
  of: count(10_000),
  group: v.optional(
    v.pipe(
      v.string(),
      v.regex(GROUP, "must be at most 24 letters, digits, - or _"),
    ),
    "",
  ),
  leaseMs: v.optional(
    v.pipe(
      count(COORDINATOR_LIMITS.leaseMsMax),
      v.minValue(COORDINATOR_LIMITS.leaseMsMin),
    ),
    COORDINATOR_LIMITS.clientLeaseMs,
  ),
  timeoutMs: v.optional(duration, COORDINATOR_LIMITS.operationMs),
  clock: v.optional(hasMethod<Clock>("setTimer")),
  entropy: v.optional(hasMethod<Entropy>("bytes")),
});
const waitSchema = v.object({
  timeoutMs: v.optional(duration),
  signal: v.optional(v.instance(AbortSignal)),
  consume: v.optional(v.boolean()),
});

/** Options of `connect` with their defaults. */
export interface CoordinatorSettings {
  readonly of: number;
  readonly group: string;
  readonly leaseMs: number;
  readonly timeoutMs: number;
  readonly clock?: Clock | undefined;
  readonly entropy?: Entropy | undefined;
}

/**
 * Checks the options of `connect`.
 *
 * @throws {TypeError} For a wrong type.
 * @throws {MomError} `option_invalid`.
 */
export function readCoordinatorOptions(
  options: CoordinatorOptions,
): CoordinatorSettings {
  return read("connect to coordinators", connectSchema, options);
}

/**
 * Checks the options of an operation.
 *
 * @throws {TypeError} For a wrong type.
 * @throws {MomError} `option_invalid`.
 */
export function readWaitOptions(doing: string, options: unknown): WaitOptions {
  return read(doing, waitSchema, options);
}

function read<S extends v.GenericSchema>(
  doing: string,
  schema: S,
  options: unknown,
): v.InferOutput<S> {
  const result = v.safeParse(schema, options, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const name = v.getDotPath(issue) ?? "options";
  const message = `Cannot ${doing}: option "${name}": ${issue.message}`;
  const isType = issue.kind === "schema" && !Number.isNaN(issue.input);
  if (isType) throw new TypeError(message);
  throw new MomError("option_invalid", message);
}
