/**
 * The broker: topics, subscriptions, and everything that is on its way. It listens
 * for daemons and for apps that come directly.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import type { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { createHttpApp } from "../program/http.ts";
import { type HttpServer, serveHttp } from "../program/http_server.ts";
import { toMetrics } from "../program/metrics.ts";
import { SpaceWatch } from "../program/space_watch.ts";
import type { StatusQuery, StatusReport } from "../program/status.ts";
import { Ticks } from "../program/ticks.ts";
import { handToken } from "../program/token_registry.ts";
import type { BackupReport } from "../storage/backup.ts";
import { backupInProcess } from "../storage/backup_process.ts";
import { assemble, type Parts, toReason, type Undo } from "./assembly.ts";
import type { PurgeReport, PurgeWish } from "./core/purging.ts";
import { type BrokerOptions, checkBrokerOptions } from "./options.ts";

export type { BackupReport };

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
  readonly #parts: Parts;
  readonly #http: HttpServer | null;
  readonly #takeBackToken: () => void;
  readonly #ticks: Ticks;
  readonly #spaceWatch: SpaceWatch;
  #tickCount = 0;
  #stopping: Promise<void> | null = null;

  private constructor(parts: Parts) {
    const { address, clock, logger, sessions, store, token } = parts;
    this.#parts = parts;
    this.token = token ?? "";
    this.address = address;
    // The first that can fail, and the only one.
    this.#http = this.#serveHttp();
    this.http = this.#http?.address ?? null;
    this.#takeBackToken = token === null ? () => {} : handToken(address, token);
    this.#spaceWatch = new SpaceWatch(store, logger);
    this.#ticks = new Ticks(clock, TICK_MS, (lateMs) => this.#tick(lateMs));
    sessions.start();
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
    let broker: Broker | null = null;
    const undo: Undo = [];
    try {
      const parts = await assemble(options, undo, (error) => {
        if (broker !== null) broker.#fail(error);
      });
      broker = new Broker(parts);
      const address = formatAddress(parts.address);
      parts.logger.info("started", { address, data: options.data });
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
    const { core, logger, sessions, store } = this.#parts;
    logger.info("stopping");
    this.#close();
    store.stopWaiting();
    sessions.warn();
    await this.#settle();
    await sessions.end();
    await core.stop();
    await this.#idle();
    await store.close();
    logger.info("stopped");
  }

  /** Nothing new comes in, and no timer runs any more. */
  #close(): void {
    this.#ticks.stop();
    this.#parts.sessions.close();
    this.#takeBackToken();
  }

  /** Resolves when no connection is served and no timer runs. */
  async #idle(): Promise<void> {
    await this.#parts.sessions.idle();
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
    const { options, sessions } = this.#parts;
    sessions.fail(error);
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

  #tick(lateMs: number): void {
    const { core } = this.#parts;
    try {
      core.tick(lateMs);
      this.#spaceWatch.look();
      if (++this.#tickCount % SLOW_TICKS === 0) core.tickSlowly();
    } catch (error) {
      core.fail();
      this.#fail(toReason(error));
    }
  }

  #serveHttp(): HttpServer | null {
    const { clock, http, logger, token } = this.#parts;
    if (http === null) return null;
    const handler = createHttpApp({
      role: "broker",
      token,
      hostname: http.hostname,
      status: (query) => this.status(query),
      purge: (wish) => this.purge(wish as PurgeWish),
      ready: () => this.#stopping === null,
      metrics: () => toMetrics(this.status()),
    });
    return serveHttp(http, handler, { logger, clock });
  }
}
