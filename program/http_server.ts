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
  /** Ends it; requests under way have a second. May be called twice. */
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
  const aborter = new AbortController();
  const requests = new RequestGate(handler, logger);
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({
      hostname,
      port,
      signal: aborter.signal,
      onListen: () => {},
    }, (request) => requests.answer(request));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw cannotServe(formatAddress(where), reason, cause);
  }
  let stopping: Promise<void> | null = null;
  const stop = async () => {
    await requests.close(clock);
    // Not shutdown(): aborting after that one fails inside of Deno.
    aborter.abort();
    await server.finished;
  };
  return {
    address: formatAddress({ hostname, port: server.addr.port }),
    stop: () => stopping ??= stop(),
  };
}

/** Knows how many requests are under way, and lets no more in at the end. */
class RequestGate {
  readonly #handler: HttpHandler;
  readonly #logger: Logger;
  #underWay = 0;
  #isClosed = false;
  #onIdle: () => void = () => {};

  constructor(handler: HttpHandler, logger: Logger) {
    this.#handler = handler;
    this.#logger = logger;
  }

  async answer(request: Request): Promise<Response> {
    if (this.#isClosed) return new Response(null, { status: 503 });
    this.#underWay++;
    try {
      return await this.#handler(request);
    } catch (error) {
      this.#logger.error("http_failed", { error });
      return new Response(null, { status: 500 });
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) this.#onIdle();
    }
  }

  /** Resolves when no request is under way, or the time is up. */
  async close(clock: Clock): Promise<void> {
    this.#isClosed = true;
    if (this.#underWay === 0) return;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(HTTP_STOP_MS, resolve);
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function cannotServe(shown: string, reason: string, cause?: unknown): MomError {
  return new MomError(
    "option_invalid",
    `Cannot serve HTTP on "${shown}": ${reason}`,
    { cause },
  );
}
