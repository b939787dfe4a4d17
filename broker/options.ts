/**
 * What a broker is started with.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import {
  type AddressLike,
  parseAddress,
  type TcpAddress,
} from "../protocol/address.ts";
import type { ByteListener } from "../protocol/byte_stream.ts";
import type { Clock, Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Logger } from "../program/log.ts";
import type { KvOpener } from "../storage/store.ts";
import type { RetentionLimits } from "./core/retention.ts";

export type { KvOpener };

/** What a broker keeps, and for how long; see README, "Limits and defaults". */
export type RetentionOptions = Partial<RetentionLimits>;

/** Options of `Broker.start`. */
export interface BrokerOptions {
  /** A folder that only this broker uses, `":memory:"`, or a KV Connect URL (experimental). */
  data: string;
  /** The host to listen on. @default {"127.0.0.1"} */
  hostname?: string;
  /** The port to listen on; 0 takes a free one. @default {6270} */
  port?: number;
  /**
   * The token that daemons and apps must have.
   *
   * @default What its file holds; made at the first start.
   */
  token?: string;
  /**
   * A file with the token.
   *
   * @default `$XDG_STATE_HOME/mom/tokens/HOST_PORT`; none for `":memory:"`.
   */
  tokenFile?: string;
  /** Lets everybody in without a token. @default {false} */
  insecureNoToken?: boolean;
  /** Where HTTP listens, or `"off"`. @default {"off"} */
  http?: AddressLike | "off";
  /** Largest message in bytes. @default {8388608} */
  maxMessageBytes?: number;
  /** Silence in milliseconds after which a sign of life is asked for. @default {10000} */
  heartbeatMs?: number;
  /**
   * What is kept, and for how long.
   *
   * @default See {@linkcode RetentionLimits}.
   */
  retention?: RetentionOptions;
  /** Where events are told. @default {nowhere} */
  logger?: Logger;
  /**
   * Hears that the store failed: the broker has stopped by itself.
   *
   * @default Nobody.
   */
  onFailed?: (error: MomError) => void;
  /** Time; for tests. @default The operating system's clock. */
  clock?: Clock;
  /** Chance; for tests. @default The operating system's. */
  entropy?: Entropy;
  /** Takes the place of `hostname` and `port`; for tests. @default A TCP socket. */
  listener?: ByteListener;
  /** Opens the database; for tests. @default {Deno.openKv} */
  openKv?: KvOpener;
}

/** Numbers that hold where nothing else is said. */
export const BROKER_DEFAULTS = {
  hostname: "127.0.0.1",
  port: 6270,
  maxMessageBytes: LIMITS.messageBytes,
  heartbeatMs: LIMITS.heartbeatMs,
} as const;

const whole = v.pipe(v.number(), v.safeInteger());
const positive = v.pipe(whole, v.minValue(1));

const schema = v.looseObject({
  data: v.pipe(v.string(), v.nonEmpty("must not be empty")),
  hostname: v.optional(v.pipe(v.string(), v.nonEmpty("must not be empty"))),
  port: v.optional(v.pipe(whole, v.minValue(0), v.maxValue(65535))),
  token: v.optional(v.string()),
  tokenFile: v.optional(v.string()),
  insecureNoToken: v.optional(v.boolean()),
  maxMessageBytes: v.optional(
    v.pipe(positive, v.maxValue(LIMITS.announcedMessageBytes)),
  ),
  heartbeatMs: v.optional(positive),
});

/**
 * Checks the options; wrong JavaScript types are a `TypeError`.
 *
 * @throws {MomError} `option_invalid`.
 */
export function checkBrokerOptions(options: BrokerOptions): void {
  const result = v.safeParse(schema, options, { abortEarly: true });
  if (result.success) return;
  const [issue] = result.issues;
  const where = `option "${v.getDotPath(issue) ?? ""}"`;
  const problem = `Cannot start broker: ${where}: ${issue.message}`;
  if (issue.kind === "schema") throw new TypeError(problem);
  throw new MomError("option_invalid", problem);
}

/**
 * Where HTTP is to listen; `null`: nowhere.
 *
 * @throws {MomError} `option_invalid`.
 */
export function httpAddress(options: BrokerOptions): TcpAddress | null {
  if (options.http === undefined || options.http === "off") return null;
  const address = parseAddress(options.http);
  if (!("path" in address)) return address;
  throw new MomError(
    "option_invalid",
    `Cannot start broker: option "http" is "unix:${address.path}", expected HOST:PORT`,
  );
}
