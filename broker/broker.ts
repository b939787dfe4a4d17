/**
 * The broker: topics, subscriptions, and everything that is on its way. It listens
 * for daemons and for apps that come directly.
 *
 * @module
 */

import {
  type Address,
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
import { Unread } from "../protocol/unread.ts";
import { LIMITS } from "../protocol/limits.ts";
import { createHttpApp } from "../program/http.ts";
import { type HttpServer, serveHttp } from "../program/http_server.ts";
import { type Logger, silentLogger } from "../program/log.ts";
import { toMetrics } from "../program/metrics.ts";
import type { StatusQuery, StatusReport } from "../program/status.ts";
import { handToken } from "../program/token_registry.ts";
import type { BackupReport } from "../storage/backup.ts";
import { backupInProcess } from "../storage/backup_process.ts";
import { readEntries } from "../storage/read_entries.ts";
import { Store } from "../storage/store.ts";
import { listen } from "../transport/dial.ts";
import { readToken } from "./access.ts";
import { admit, type Connections, openConnection } from "./connection.ts";
import { Core } from "./core/core.ts";
import type { PurgeReport, PurgeWish } from "./core/purging.ts";
import { RETENTION_LIMITS } from "./core/retention.ts";
import { diskShareOf } from "./disk_share.ts";
import {
  BROKER_DEFAULTS,
  type BrokerOptions,
  checkBrokerOptions,
} from "./options.ts";

export type { BackupReport };

const TICK_MS = 1_000;
/** Ticks between two slow ones. */
const SLOW_TICKS = 3_600;

/** What a broker is put together from. */
interface Parts {
  readonly options: BrokerOptions;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly store: Store;
  readonly core: Core;
  readonly listener: ByteListener;
  readonly token: string | null;
}

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
  readonly #parts: Parts;
  readonly #heartbeats: Heartbeats;
  readonly #http: HttpServer | null;
  readonly #connections: Connections = new Map();
  readonly #openings = new Set<ByteStream>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #takeBackToken: () => void;
  #timer: Timer;
  #tickDueMs: number;
  readonly #unread = new Unread();
  #ticks = 0;
  #isFull = false;
  #stopping: Promise<void> | null = null;

  private constructor(parts: Parts) {
    const { clock, options, listener, token } = parts;
    this.#parts = parts;
    this.#heartbeats = new Heartbeats(
      clock,
      options.heartbeatMs ?? BROKER_DEFAULTS.heartbeatMs,
    );
    this.token = token ?? "";
    this.address = parseAddress(listener.address);
    // The first that can fail, and the only one.
    this.#http = this.#serveHttp();
    this.http = this.#http?.address ?? null;
    this.#takeBackToken = token === null
      ? () => {}
      : handToken(this.address, token);
    this.#tickDueMs = clock.monotonicMs() + TICK_MS;
    this.#timer = clock.setTimer(TICK_MS, () => this.#tick());
    this.#watch(this.#accept());
  }

  /**
   * Starts a broker; resolves when it listens.
   *
   * @param options At least `data`.
   * @throws {MomError} `option_invalid`, `data_in_use`, `data_version`,
   *   `data_damaged`, `store_unavailable`.
   *
   * @example With a folder, on a port that is free
   * ```ts
   * import { Broker } from "../mod.ts";
   *
   * const data = await Deno.makeTempDir();
   * const tokenFile = `${data}/token`;
   * await using broker = await Broker.start({ port: 0, data, tokenFile });
   * if ((await Deno.readTextFile(tokenFile)).trim() !== broker.token) throw data;
   * ```
   */
  static async start(options: BrokerOptions): Promise<Broker> {
    checkBrokerOptions(options);
    const clock = options.clock ?? systemClock;
    const entropy = options.entropy ?? systemEntropy;
    const logger = options.logger ?? silentLogger;
    let core: Core | null = null;
    let broker: Broker | null = null;
    const fail = (error: unknown) => {
      const reason = toReason(error);
      logger.error("failed", { error: reason });
      core?.fail();
      if (broker !== null) broker.#fail(reason);
    };
    const store = await Store.open({
      data: options.data,
      role: "broker",
      clock,
      entropy,
      openKv: options.openKv,
      onFailed: fail,
      onSeal: () => core?.seal() ?? null,
    });
    let listener: ByteListener | null = null;
    try {
      core = await readEntries(
        options.data,
        () => newCore(options, store, logger, fail),
      );
      listener = options.listener ?? listen({
        hostname: options.hostname ?? BROKER_DEFAULTS.hostname,
        port: options.port ?? BROKER_DEFAULTS.port,
      });
      const { address } = listener;
      const { isMemory } = store;
      const context = { address, isMemory, entropy, logger };
      const token = await readToken(options, context);
      broker = new Broker(
        { options, clock, entropy, logger, store, core, listener, token },
      );
      logger.info("started", { address, data: options.data });
      return broker;
    } catch (error) {
      listener?.close();
      await store.close();
      throw error;
    }
  }

  /**
   * What the broker has and does at this moment.
   *
   * @param query Narrows the rows, never the totals.
   *
   * @example How much waits for a user
   * ```ts
   * import { Broker, Mom } from "../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using ben = await Mom.connect({ broker: broker.address, name: "ben" });
   * await ana.subscribe("t");
   * await ben.publish("t", "hello", { level: "broker" });
   * const { subscriptions } = broker.status({ user: ana.user });
   * if (subscriptions[0]?.pending !== 1) throw subscriptions;
   * ```
   */
  status(query: StatusQuery = {}): StatusReport {
    return this.#parts.core.status(query);
  }

  /**
   * Copies the store as it is at this moment into a file, while the broker goes
   * on. A process of its own does it: where none may be started (`--allow-run`),
   * use `deno task broker backup FILE`.
   *
   * @param file The file to make.
   * @param options `force`: replaces a file that is there.
   * @throws {MomError} `unsupported` where no process may be started or the data
   *   is in no folder; `option_invalid`, `storage_full`, `data_damaged`.
   *
   * @example Into a folder of its own
   * ```ts
   * import { Broker } from "../mod.ts";
   *
   * const folder = await Deno.makeTempDir();
   * await using broker = await Broker.start({
   *   port: 0,
   *   data: `${folder}/data`,
   *   tokenFile: `${folder}/token`,
   * });
   * const report = await broker.backup(`${folder}/monday`);
   * if (report.messages !== 0 || report.damaged !== 0) throw report;
   * ```
   */
  backup(
    file: string,
    { force = false }: { force?: boolean } = {},
  ): Promise<BackupReport> {
    const { data } = this.#parts.options;
    const main = new URL("./main.ts", import.meta.url);
    return backupInProcess({ data, file, force, main });
  }

  /**
   * Removes stored messages: of a topic, of all, or what waits here for a user.
   * What a subscription still waited for counts as dropped, reason `purged`; what
   * lies at daemons already is delivered all the same.
   *
   * @returns When that is on disk.
   * @throws {MomError} `option_invalid`, or what the store failed with.
   *
   * @example A topic
   * ```ts
   * import { Broker, Mom } from "../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await ana.publish("museum/doors/1", "open", { level: "broker" });
   * const { removed } = await broker.purge({ topic: "museum/doors/1" });
   * if (removed !== 1) throw removed;
   * ```
   */
  async purge(wish: PurgeWish): Promise<PurgeReport> {
    const { core, store } = this.#parts;
    const report = core.purge(wish);
    await store.committed();
    return report;
  }

  /**
   * Finishes what was accepted, for at most 5 s, and ends. May be called twice.
   *
   * @example Without `await using`
   * ```ts
   * import { Broker } from "../mod.ts";
   *
   * const broker = await Broker.start({ port: 0, data: ":memory:" });
   * await broker.stop();
   * ```
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** The same as {@linkcode stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    const { core, store, logger } = this.#parts;
    logger.info("stopping");
    this.#close();
    store.stopWaiting();
    const peers = [...this.#connections.values()];
    for (const peer of peers) {
      const reason = "the broker stops";
      peer.send({ type: "GOAWAY", reason, ms: LIMITS.closeMs });
    }
    await this.#settle();
    await Promise.all(peers.map((peer) => peer.close()));
    await core.stop();
    await this.#idle();
    await store.close();
    logger.info("stopped");
  }

  /** Nothing new comes in, and no timer runs any more. */
  #close(): void {
    this.#timer.cancel();
    this.#parts.listener.close();
    for (const stream of this.#openings) stream.close();
    this.#takeBackToken();
  }

  /** Resolves when no connection is served and no timer runs. */
  async #idle(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    this.#heartbeats.stop();
    await this.#http?.stop();
  }

  /** What was accepted is committed and answered, unless that takes too long. */
  async #settle(): Promise<void> {
    const { clock, core, store, logger } = this.#parts;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = clock.setTimer(LIMITS.closeMs - TICK_MS, resolve);
    const settled = core.idle()
      .then(() => store.committed())
      .catch((error) => logger.warn("stopped_short", { error }));
    await Promise.race([settled, late]);
    timer.cancel();
  }

  /** Nothing in memory is true any more: nobody gets another answer. */
  #fail(error: MomError): void {
    const { options } = this.#parts;
    for (const peer of [...this.#connections.values()]) peer.abort(error);
    if (this.#stopping !== null) return;
    this.#close();
    this.#stopping = this.#abandon();
    options.onFailed?.(error);
  }

  async #abandon(): Promise<void> {
    const { core, store, logger } = this.#parts;
    await core.stop();
    await this.#idle();
    await store.close().catch((error) => logger.warn("not_closed", { error }));
  }

  #tick(): void {
    const { clock, core } = this.#parts;
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - this.#tickDueMs;
    this.#tickDueMs = nowMs + TICK_MS;
    this.#timer = clock.setTimer(TICK_MS, () => this.#tick());
    try {
      core.tick(lateMs);
      this.#watchSpace();
      if (++this.#ticks % SLOW_TICKS === 0) core.tickSlowly();
    } catch (error) {
      core.fail();
      this.#fail(toReason(error));
    }
  }

  #watchSpace(): void {
    const { store, logger } = this.#parts;
    const isFull = !store.canAppend();
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    if (isFull) logger.warn("storage_full");
    else logger.info("storage_free");
  }

  /** Owns a task until it is over. */
  #watch(task: Promise<void>): void {
    const owned = task
      .catch((error) => this.#defect(error))
      .finally(() => this.#tasks.delete(owned));
    this.#tasks.add(owned);
  }

  #defect(error: unknown): void {
    this.#parts.logger.error("defect", { error });
  }

  async #accept(): Promise<void> {
    const { listener } = this.#parts;
    while (true) {
      const stream = await listener.accept();
      if (stream === null) return;
      if (this.#openings.size >= LIMITS.unwelcomedConnections) {
        // The oldest: who means it is through within milliseconds.
        const [oldest] = this.#openings;
        this.#openings.delete(oldest);
        oldest.close();
      }
      if (this.#stopping !== null) stream.close();
      else this.#watch(this.#serve(stream));
    }
  }

  async #serve(stream: ByteStream): Promise<void> {
    const { clock, entropy, options, store, core, token } = this.#parts;
    this.#openings.add(stream);
    let machine = "";
    try {
      const opened = await acceptPeer(stream, {
        clock,
        entropy,
        heartbeats: this.#heartbeats,
        unread: this.#unread,
        token,
        maxMessageBytes: options.maxMessageBytes ??
          BROKER_DEFAULTS.maxMessageBytes,
        admit: async (hello) => {
          machine = await admit(hello, core, this.#connections);
          const { id, epoch } = store;
          return { role: "broker", machine, storeId: id, epoch };
        },
        handlers: (peer, hello) =>
          openConnection(
            { peer, hello, machine, onDefect: (each) => this.#defect(each) },
            core,
            this.#connections,
          ),
      });
      this.#openings.delete(stream);
      if (this.#stopping !== null) opened?.peer.abort();
      await opened?.done;
    } finally {
      this.#openings.delete(stream);
      stream.close();
    }
  }

  #serveHttp(): HttpServer | null {
    const { options, token, logger, clock } = this.#parts;
    const address = httpAddress(options);
    if (address === null) return null;
    const handler = createHttpApp({
      role: "broker",
      token,
      hostname: address.hostname,
      status: (query) => this.status(query),
      ready: () => this.#stopping === null,
      metrics: () => toMetrics(this.status()),
    });
    return serveHttp(address, handler, { logger, clock });
  }
}

function newCore(
  options: BrokerOptions,
  store: Store,
  logger: Logger,
  onDefect: (error: unknown) => void,
): Core {
  const isFolder = !store.isMemory && !/^https?:/.test(options.data);
  return new Core({
    store,
    maxMessageBytes: options.maxMessageBytes ??
      BROKER_DEFAULTS.maxMessageBytes,
    retention: {
      ...RETENTION_LIMITS,
      storeBytes: isFolder ? diskShareOf(options.data) : Infinity,
      ...options.retention,
    },
    logger,
    onDefect,
  });
}

function toReason(error: unknown): MomError {
  return error instanceof MomError
    ? error
    : new MomError("internal", "Cannot go on: defect", { cause: error });
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
