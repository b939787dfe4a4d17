/**
 * What a daemon is started with.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import {
  type Address,
  type AddressLike,
  formatAddress,
  parseAddress,
  type TcpAddress,
} from "../protocol/address.ts";
import type { ByteListener, Dialer } from "../protocol/byte_stream.ts";
import type { Clock, Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { checkName } from "../protocol/names.ts";
import type { Logger } from "../program/log.ts";
import type { KvOpener } from "../storage/store.ts";

/** Options of `Daemon.start`. */
export interface DaemonOptions {
  /** The broker's address: `HOST:PORT`, `unix:PATH`, or as an object. */
  broker: AddressLike;
  /** Where apps reach the daemon: `{ path }` for a unix socket, or a loopback host and port. */
  listen: { path: string } | { hostname?: string; port: number } | string;
  /** A folder that only this daemon uses, or `":memory:"`. */
  data: string;
  /**
   * The machine's name; the part of `name@machine` behind the `@`.
   *
   * @default {hostname, or a random name for ":memory:"}
   */
  machine?: string;
  /**
   * The token that apps must have.
   *
   * @default What its file holds; made at the first start.
   */
  token?: string;
  /**
   * The broker's token.
   *
   * @default What its file in the well-known place holds.
   */
  brokerToken?: string;
  /** Where HTTP listens, or `"off"`. @default {"off"} */
  http?: AddressLike | "off";
  /**
   * A file with the token for apps.
   *
   * @default `PATH.token` beside the socket, or
   * `$XDG_STATE_HOME/mom/tokens/HOST_PORT`; none for `":memory:"`.
   */
  tokenFile?: string;
  /**
   * A file with the broker's token.
   *
   * @default `$XDG_STATE_HOME/mom/tokens/HOST_PORT`
   */
  brokerTokenFile?: string;
  /** Lets apps in without a token. @default {false} */
  insecureNoToken?: boolean;
  /** Largest message in bytes. @default {8388608} */
  maxMessageBytes?: number;
  /** Bytes of waiting messages per user. @default {268435456} */
  inboxBytesMax?: number;
  /** Bytes of publishes that wait for the broker. @default {1073741824} */
  outboxBytesMax?: number;
  /** Silence in milliseconds after which a sign of life is asked for. @default {10000} */
  heartbeatMs?: number;
  /** Where events are told. @default {nowhere} */
  logger?: Logger;
  /**
   * Hears that the store failed: the daemon has stopped by itself.
   *
   * @default Nobody.
   */
  onFailed?: (error: MomError) => void;
  /** Time; for tests. @default The operating system's clock. */
  clock?: Clock;
  /** Chance; for tests. @default The operating system's. */
  entropy?: Entropy;
  /** Opens the link; for tests. @default The operating system's network. */
  dialer?: Dialer;
  /** Takes the place of `listen`; for tests. @default A socket. */
  listener?: ByteListener;
  /** Opens the database; for tests. @default {Deno.openKv} */
  openKv?: KvOpener;
}

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const schema = v.looseObject({
  data: v.pipe(v.string(), v.nonEmpty("must not be empty")),
  machine: v.optional(v.string()),
  token: v.optional(v.string()),
  brokerToken: v.optional(v.string()),
  tokenFile: v.optional(v.string()),
  brokerTokenFile: v.optional(v.string()),
  insecureNoToken: v.optional(v.boolean()),
  maxMessageBytes: v.optional(
    v.pipe(positive, v.maxValue(LIMITS.announcedMessageBytes)),
  ),
  inboxBytesMax: v.optional(positive),
  outboxBytesMax: v.optional(positive),
  heartbeatMs: v.optional(positive),
});

/** Numbers that hold where nothing else is said. */
export const DAEMON_DEFAULTS = {
  maxMessageBytes: LIMITS.messageBytes,
  inboxBytesMax: 256 * 1024 * 1024,
  outboxBytesMax: 1024 * 1024 * 1024,
  heartbeatMs: LIMITS.heartbeatMs,
} as const;

/**
 * Checks the options; wrong JavaScript types are a `TypeError`.
 *
 * @throws {MomError} `option_invalid`, `name_invalid`.
 */
export function checkDaemonOptions(options: DaemonOptions): void {
  const result = v.safeParse(schema, options, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const where = `option "${v.getDotPath(issue) ?? ""}"`;
    const problem = `Cannot start daemon: ${where}: ${issue.message}`;
    if (issue.kind === "schema") throw new TypeError(problem);
    throw new MomError("option_invalid", problem);
  }
  parseAddress(options.broker);
  if (options.machine !== undefined) checkName("machine", options.machine);
}

/** Where apps reach the daemon. */
export function listenAddress({ listen }: DaemonOptions): Address {
  if (typeof listen === "string") return parseAddress(listen);
  if ("path" in listen) return listen;
  return { hostname: listen.hostname ?? "127.0.0.1", port: listen.port };
}

/**
 * Where HTTP listens; `null`: nowhere.
 *
 * @throws {MomError} `option_invalid`.
 */
export function httpAddress(options: DaemonOptions): TcpAddress | null {
  if (options.http === undefined || options.http === "off") return null;
  const address = parseAddress(options.http);
  if (!("path" in address)) return address;
  throw new MomError(
    "option_invalid",
    `Cannot start daemon: option "http" is "${
      formatAddress(address)
    }", expected HOST:PORT`,
  );
}
