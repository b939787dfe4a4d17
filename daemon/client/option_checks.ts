/**
 * What options may be. A value of the wrong JavaScript type is a `TypeError`, a
 * value that breaks a rule a `MomError` with `option_invalid`.
 *
 * @module
 */

import * as v from "../../deps/valibot.ts";
import type { AddressLike } from "../../protocol/address.ts";
import type { Dialer } from "../../protocol/byte_stream.ts";
import type { Clock, Entropy } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type {
  ConnectOptions,
  PublishOptions,
  ReceiveManyOptions,
  ReceiveOptions,
  SubscribeOptions,
} from "./options.ts";

const duration = v.pipe(
  v.number(),
  v.check((ms) => ms >= 0, "must be at least 0"),
);
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const shape = <T>(method: string) =>
  v.custom<T>(
    (value) =>
      typeof (value as Record<string, unknown> | null)?.[method] === "function",
    `must have a method ${method}`,
  );
const signal = v.instance(AbortSignal);
const addressLike = v.custom<AddressLike>(
  (value) => typeof value === "string" || isObject(value),
  "must be text or an object",
);

const connectSchema = v.object({
  daemon: v.optional(addressLike),
  broker: v.optional(addressLike),
  name: v.optional(v.string()),
  token: v.optional(v.string()),
  reconnectTimeoutMs: v.optional(duration, LIMITS.reconnectTimeoutMs),
  heartbeatMs: v.optional(
    v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    LIMITS.heartbeatMs,
  ),
  dialer: v.optional(shape<Dialer>("dial")),
  clock: v.optional(shape<Clock>("setTimer")),
  entropy: v.optional(shape<Entropy>("bytes")),
});

const startWord = v.picklist(["now", "earliest", "last"]);
const startOffset = v.object({
  offset: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});
const startTime = v.object({ time: v.date() });
/** Chosen by its looks, so that an issue is that of the form that was meant. */
const start = v.lazy((input: unknown) => {
  if (typeof input === "string") return startWord;
  return isObject(input) && "time" in input ? startTime : startOffset;
});

const subscribeSchema = v.object({
  from: v.optional(start, "now"),
  ack: v.optional(v.literal("manual")),
  echo: v.optional(v.boolean(), false),
  ifNew: v.optional(v.boolean(), false),
});

/** Options of `connect` with their defaults. */
export interface ConnectSettings {
  readonly daemon?: AddressLike;
  readonly broker?: AddressLike;
  readonly name?: string;
  readonly token?: string;
  readonly reconnectTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly dialer?: Dialer;
  readonly clock?: Clock;
  readonly entropy?: Entropy;
}
/** Options of `subscribe` with their defaults. */
export interface SubscribeSettings {
  readonly from:
    | "now"
    | "earliest"
    | "last"
    | { offset: number }
    | { time: Date };
  readonly ack?: "manual";
  readonly echo: boolean;
  readonly ifNew: boolean;
}

/**
 * Checks the options of `connect`.
 *
 * @throws {TypeError} For a wrong type.
 * @throws {MomError} `option_invalid`.
 */
export function readConnectOptions(options: ConnectOptions): ConnectSettings {
  const settings = read("connect", connectSchema, options);
  if (settings.daemon !== undefined && settings.broker !== undefined) {
    throw new MomError(
      "option_invalid",
      "Cannot connect: daemon and broker are given, a handle has one of them",
    );
  }
  return settings;
}

/**
 * Checks the options of `subscribe`.
 *
 * @throws {TypeError} For a wrong type.
 * @throws {MomError} `option_invalid`.
 */
export function readSubscribeOptions(
  options: SubscribeOptions,
): SubscribeSettings {
  return read("subscribe", subscribeSchema, options);
}

/**
 * Checks the options of `publish`: by hand, since it is called for each message.
 *
 * @throws {TypeError} For a wrong type.
 * @throws {MomError} `option_invalid`.
 */
export function checkPublishOptions(options: PublishOptions): void {
  requireObject("publish", options);
  const { level, headers, expiresMs, epoch } = options;
  if (level !== undefined && level !== "broker") {
    requireType("publish", "level", typeof level === "string", "a string");
    throw invalid("publish", "level", `must be "broker", not "${level}"`);
  }
  if (headers !== undefined) {
    requireType("publish", "headers", isObject(headers), "an object");
  }
  if (expiresMs !== undefined) {
    readField("publish", "expiresMs", positive, expiresMs);
  }
  if (epoch !== undefined) readField("publish", "epoch", positive, epoch);
  checkWait("publish", options);
}

/**
 * Checks the options of `receive`.
 *
 * @throws {TypeError} For a wrong type.
 * @throws {MomError} `option_invalid`.
 */
export function checkReceiveOptions(options: ReceiveOptions): void {
  requireObject("receive", options);
  checkWait("receive", options);
}

/**
 * Checks the options of `receiveMany`.
 *
 * @throws {TypeError} For a wrong type.
 * @throws {MomError} `option_invalid`.
 */
export function checkReceiveManyOptions(options: ReceiveManyOptions): void {
  requireObject("receive", options);
  const { max } = options;
  if (max !== undefined) readField("receive", "max", positive, max);
  checkWait("receive", options);
}

function checkWait(doing: string, options: ReceiveOptions): void {
  const { timeoutMs } = options;
  if (
    timeoutMs !== undefined &&
    !(typeof timeoutMs === "number" && timeoutMs >= 0)
  ) {
    readField(doing, "timeoutMs", duration, timeoutMs);
  }
  if (
    options.signal !== undefined && !(options.signal instanceof AbortSignal)
  ) {
    readField(doing, "signal", signal, options.signal);
  }
}

function read<S extends v.GenericSchema>(
  doing: string,
  schema: S,
  options: unknown,
): v.InferOutput<S> {
  requireObject(doing, options);
  const result = v.safeParse(schema, options, { abortEarly: true });
  if (result.success) return result.output;
  throw asError(
    doing,
    v.getDotPath(result.issues[0]) ?? "options",
    result.issues[0],
  );
}

function readField<S extends v.GenericSchema>(
  doing: string,
  name: string,
  schema: S,
  value: unknown,
): void {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (!result.success) throw asError(doing, name, result.issues[0]);
}

/** A schema's own kind of issue means a wrong type, a rule's a wrong value. */
function asError(
  doing: string,
  name: string,
  issue: v.BaseIssue<unknown>,
): Error {
  const isType = issue.kind === "schema" && !isRightType(issue);
  if (!isType) return invalid(doing, name, issue.message);
  return new TypeError(
    `Cannot ${doing}: option "${name}": ${issue.message}`,
  );
}

/** Some values of the right type are refused by the schema itself. */
function isRightType({ type, input }: v.BaseIssue<unknown>): boolean {
  if (type === "picklist" || type === "literal") {
    return typeof input === "string";
  }
  return (type === "number" && typeof input === "number") ||
    (type === "date" && input instanceof Date);
}

function requireObject(doing: string, options: unknown): void {
  requireType(doing, "options", isObject(options), "an object");
}

function requireType(
  doing: string,
  name: string,
  isRight: boolean,
  expected: string,
): void {
  if (isRight) return;
  throw new TypeError(`Cannot ${doing}: ${name} must be ${expected}`);
}

function invalid(doing: string, name: string, rule: string): MomError {
  return new MomError(
    "option_invalid",
    `Cannot ${doing}: option "${name}": ${rule}`,
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
