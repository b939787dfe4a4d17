/**
 * Serves HTTP on an address.
 *
 * @module
 */

import {
  type AddressLike,
  formatAddress,
  isUnixAddress,
  parseAddress,
} from "../protocol/address.ts";
import { type Clock, systemClock } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import type { HttpHandler } from "./http.ts";
import { type Logger, silentLogger } from "./log.ts";

/** How long requests have to end when the server stops. */
export const HTTP_STOP_MS = 1_000;

/** A server that runs. */
export interface HttpServer {
  /** Where it listens, `HOST:PORT`. */
  readonly address: string;
  /**
   * Takes no more requests; those under way have a second, then it no longer
   * waits for them. May be called twice.
   */
  stop(): Promise<void>;
}

/** Options of {@linkcode serveHttp}. */
export interface ServeHttpOptions {
  /** @default {silentLogger} */
  logger?: Logger;
  /** @default {systemClock} */
  clock?: Clock;
}

/**
 * Serves `handler` on `HOST:PORT`; port 0 takes a free one.
 *
 * @throws {MomError} `option_invalid` if the address is none, or cannot be had.
 */
export function serveHttp(
  address: AddressLike,
  handler: HttpHandler,
  options: ServeHttpOptions = {},
): HttpServer {
  const { logger = silentLogger, clock = systemClock } = options;
  const where = parseAddress(address);
  if (isUnixAddress(where)) {
    throw cannotServe(formatAddress(where), "expected HOST:PORT");
  }
  const { hostname, port } = where;
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({
      hostname,
      port,
      onListen: () => {},
      onError: (error) => {
        logger.error("http_failed", { error });
        return new Response(null, { status: 500 });
      },
    }, handler);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw cannotServe(formatAddress(where), reason, cause);
  }
  let stopping: Promise<void> | null = null;
  return {
    address: formatAddress({ hostname, port: server.addr.port }),
    stop: () => stopping ??= stopInTime(server, clock, logger),
  };
}

/**
 * Waits for requests under way, but not for ever. Deno has no way to cut one off
 * without cutting answers that are just being sent; the process's end does that.
 */
async function stopInTime(
  server: Deno.HttpServer,
  clock: Clock,
  logger: Logger,
): Promise<void> {
  const isEnded = await new Promise<boolean>((resolve, reject) => {
    const timer = clock.setTimer(HTTP_STOP_MS, () => resolve(false));
    server.shutdown().then(() => resolve(true), reject)
      .finally(() => timer.cancel());
  });
  if (!isEnded) logger.warn("http_requests_left", { afterMs: HTTP_STOP_MS });
}

function cannotServe(shown: string, reason: string, cause?: unknown): MomError {
  return new MomError(
    "option_invalid",
    `Cannot serve HTTP on "${shown}": ${reason}`,
    { cause },
  );
}
