/**
 * The broker: topics, subscriptions, and everything that is on its way. It listens
 * for daemons and for apps that come directly.
 *
 * @module
 */

import {
  type Address,
  isLocalAddress,
  parseAddress,
  type TcpAddress,
} from "../protocol/address.ts";
import type { ByteListener, ByteStream } from "../protocol/byte_stream.ts";
import {
  type Clock,
  type Entropy,
  systemClock,
  systemEntropy,
  type Timer,
} from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { acceptPeer } from "../protocol/handshake.ts";
import { Heartbeats } from "../protocol/heartbeats.ts";
import { LIMITS } from "../protocol/limits.ts";
import { createHttpApp } from "../program/http.ts";
import { type HttpServer, serveHttp } from "../program/http_server.ts";
import { type Logger, silentLogger } from "../program/log.ts";
import { toMetrics } from "../program/metrics.ts";
import type { StatusQuery, StatusReport } from "../program/status.ts";
import { handToken } from "../program/token_registry.ts";
import {
  checkToken,
  makeToken,
  readOrMakeToken,
  tokenPath,
} from "../program/tokens.ts";
import { Store } from "../storage/store.ts";
import { listen } from "../transport/dial.ts";
import { admit, type Connections, openConnection } from "./connection.ts";
import { Core } from "./core/core.ts";
import { RETENTION_LIMITS } from "./core/retention.ts";
import {
  BROKER_DEFAULTS,
  type BrokerOptions,
  checkBrokerOptions,
} from "./options.ts";

const TICK_MS = 1_000;
/** Ticks between two slow ones. */
const SLOW_TICKS = 3_600;

/**
 * A running broker.
 *
 * @example Start, look, stop
 * ```ts
 * import { Broker } from "../mod.ts";
 *
 * await using broker = await Broker.start({ port: 0, data: ":memory:" });
 * if (broker.status().totals.published !== 0) throw new Error("not new");
 * ```
 */
export class Broker {
  /** Where daemons and apps reach it. */
  readonly address: Address;
  /** The token that they must have; empty if none is asked for. */
  readonly token: string;
  /** Where HTTP listens, `HOST:PORT`; `null` if it is off. */
  readonly http: string | null;
  #clock: Clock;
  #logger: Logger;
  #store: Store;
  #core: Core;
  #listener: ByteListener;
  #heartbeats: Heartbeats;
  #http: HttpServer | null = null;
  #connections: Connections = new Map();
  #openings = new Set<ByteStream>();
  #tasks = new Set<Promise<unknown>>();
  #timer: Timer;
  #ticks = 0;
  #takeBack: () => void;
  #stopping: Promise<void> | null = null;

  private constructor(parts: Parts) {
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#store = parts.store;
    this.#core = parts.core;
    this.#listener = parts.listener;
    this.#heartbeats = parts.heartbeats;
    this.token = parts.token ?? "";
    this.address = parseAddress(parts.listener.address);
    this.#takeBack = parts.token === null
      ? () => {}
      : handToken(this.address, parts.token);
    this.#timer = this.#clock.setTimer(TICK_MS, () => this.#tick());
    this.#watch(this.#accept(parts));
    if (parts.http !== null) {
      this.#http = this.#serveHttp(parts.http, parts.token);
    }
    this.http = this.#http?.address ?? null;
  }

  /**
   * Starts a broker; resolves when it listens.
   *
   * @param options At least `data`.
   * @throws {MomError} `option_invalid`, `data_in_use`, `data_version`,
   *   `data_damaged`, `store_unavailable`.
   */
  static async start(options: BrokerOptions): Promise<Broker> {
    checkBrokerOptions(options);
    const clock = options.clock ?? systemClock;
    const entropy = options.entropy ?? systemEntropy;
    const logger = options.logger ?? silentLogger;
    const holder: { broker: Broker | null; core: Core | null } = {
      broker: null,
      core: null,
    };
    const fail = (error: unknown) => {
      const reason = error instanceof MomError
        ? error
        : new MomError("internal", "The broker can't go on", { cause: error });
      logger.error("failed", { error: reason });
      if (holder.broker !== null) holder.broker.#fail(reason, options.onFailed);
    };
    const store = await Store.open({
      data: options.data,
      role: "broker",
      clock,
      entropy,
      onFailed: fail,
      onSeal: () => holder.core?.seal() ?? null,
    });
    const undo: (() => unknown)[] = [() => store.close()];
    try {
      const maxMessageBytes = options.maxMessageBytes ??
        BROKER_DEFAULTS.maxMessageBytes;
      const core = new Core({
        store,
        wallMs: () => clock.wallMs(),
        maxMessageBytes,
        retention: { ...RETENTION_LIMITS, ...options.retention },
        logger,
        onDefect: fail,
      });
      holder.core = core;
      const listener = options.listener ?? listen({
        hostname: options.hostname ?? BROKER_DEFAULTS.hostname,
        port: options.port ?? BROKER_DEFAULTS.port,
      });
      undo.push(() => listener.close());
      const token = await readToken(options, listener, store, logger);
      const broker = new Broker({
        clock,
        entropy,
        logger,
        store,
        core,
        listener,
        heartbeats: new Heartbeats(
          clock,
          options.heartbeatMs ?? BROKER_DEFAULTS.heartbeatMs,
        ),
        token,
        http: httpAddress(options),
        maxMessageBytes,
      });
      holder.broker = broker;
      return broker;
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }
  }

  /**
   * What the broker has and does at this moment.
   *
   * @param query Narrows the rows, never the totals.
   */
  status(query: StatusQuery = {}): StatusReport {
    return this.#core.status(query);
  }

  /** Finishes what was accepted, for at most 5 s, and ends. May be called twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** The same as {@linkcode stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    this.#logger.info("stopping");
    this.#timer.cancel();
    this.#listener.close();
    for (const stream of this.#openings) stream.close();
    const peers = [...this.#connections.values()];
    for (const peer of peers) {
      peer.send({
        type: "GOAWAY",
        reason: "the broker stops",
        ms: LIMITS.closeMs,
      });
    }
    await this.#settle();
    await Promise.all(peers.map((peer) => peer.close()));
    await this.#core.stop();
    await Promise.all([...this.#tasks]);
    await this.#store.close();
    await this.#http?.stop();
    this.#heartbeats.stop();
    this.#takeBack();
  }

  /** What was accepted is committed and answered, if that takes no more than 5 s. */
  async #settle(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.setTimer(LIMITS.closeMs - 1_000, resolve);
    const settled = this.#core.settled()
      .then(() => this.#store.committed())
      .catch((error) => this.#logger.warn("stopped_short", { error }));
    await Promise.race([settled, late]);
    timer.cancel();
  }

  #fail(error: MomError, onFailed: BrokerOptions["onFailed"]): void {
    if (this.#stopping !== null) return;
    // Nothing in memory is true any more: nobody gets another answer.
    for (const peer of [...this.#connections.values()]) peer.abort(error);
    this.#watch(this.stop());
    onFailed?.(error);
  }

  #tick(): void {
    this.#timer = this.#clock.setTimer(TICK_MS, () => this.#tick());
    this.#core.tick();
    if (++this.#ticks % SLOW_TICKS === 0) this.#core.tickSlowly();
  }

  /** Owns a task until it is over. */
  #watch(task: Promise<unknown>): void {
    const owned = task
      .catch((error) => this.#logger.error("defect", { error }))
      .finally(() => this.#tasks.delete(owned));
    this.#tasks.add(owned);
  }

  async #accept(parts: Parts): Promise<void> {
    for (
      let stream = await this.#listener.accept();
      stream !== null;
      stream = await this.#listener.accept()
    ) {
      if (this.#openings.size >= LIMITS.unwelcomedConnections) stream.close();
      else this.#watch(this.#serve(stream, parts));
    }
  }

  async #serve(stream: ByteStream, parts: Parts): Promise<void> {
    this.#openings.add(stream);
    let machine = "";
    const opened = await acceptPeer(stream, {
      clock: parts.clock,
      entropy: parts.entropy,
      heartbeats: parts.heartbeats,
      token: parts.token,
      maxMessageBytes: parts.maxMessageBytes,
      admit: async (hello) => {
        machine = await admit(hello, this.#core, this.#connections);
        const { id, epoch } = this.#store;
        return { role: "broker", machine, storeId: id, epoch };
      },
      handlers: (peer, hello) =>
        openConnection(
          peer,
          hello,
          machine,
          this.#core,
          this.#connections,
          (error) => this.#logger.error("defect", { error }),
        ),
    }).finally(() => this.#openings.delete(stream));
    if (opened === null) return;
    if (this.#stopping !== null) opened.peer.abort();
    await opened.done;
  }

  #serveHttp(address: TcpAddress, token: string | null): HttpServer {
    const handler = createHttpApp({
      role: "broker",
      token,
      hostname: address.hostname,
      status: (query) => this.status(query),
      ready: () => this.#stopping === null,
      metrics: () => toMetrics(this.status()),
    });
    return serveHttp(address, handler, {
      logger: this.#logger,
      clock: this.#clock,
    });
  }
}

interface Parts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly store: Store;
  readonly core: Core;
  readonly listener: ByteListener;
  readonly heartbeats: Heartbeats;
  readonly token: string | null;
  readonly http: TcpAddress | null;
  readonly maxMessageBytes: number;
}

function httpAddress(options: BrokerOptions): TcpAddress | null {
  if (options.http === undefined || options.http === "off") return null;
  const address = parseAddress(options.http);
  if (!("path" in address)) return address;
  throw new MomError(
    "option_invalid",
    `Cannot start broker: option "http" is "unix:${address.path}", expected HOST:PORT`,
  );
}

/** The token that is asked for; `null`: everybody is let in. */
async function readToken(
  options: BrokerOptions,
  listener: ByteListener,
  store: Store,
  logger: Logger,
): Promise<string | null> {
  if (options.token !== undefined) {
    return checkToken(options.token, 'option "token"');
  }
  if (options.insecureNoToken) return null;
  const address = parseAddress(listener.address);
  if (!isLocalAddress(address)) {
    if (options.tokenFile === undefined) {
      throw new MomError(
        "option_invalid",
        `Cannot listen on ${listener.address}: beyond loopback name a token ` +
          "(option token or tokenFile), or let everybody in (insecureNoToken)",
      );
    }
    logger.warn("no_tls", { address: listener.address });
  }
  if (store.isMemory && options.tokenFile === undefined) return makeToken();
  return await readOrMakeToken(options.tokenFile ?? tokenPath(address));
}
