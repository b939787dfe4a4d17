/**
 * The daemon: one on every machine. Apps talk to it; it talks to the broker, and
 * keeps what either of them can't take now.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import { MomError } from "../protocol/errors.ts";
import { createHttpApp } from "../program/http.ts";
import { type HttpServer, serveHttp } from "../program/http_server.ts";
import { toMetrics } from "../program/metrics.ts";
import { SpaceWatch } from "../program/space_watch.ts";
import type { StatusQuery, StatusReport } from "../program/status.ts";
import { Ticks } from "../program/ticks.ts";
import { handToken } from "../program/token_registry.ts";
import type { BackupReport } from "../storage/backup.ts";
import { backupInProcess } from "../storage/backup_process.ts";
import { assemble, type Parts, type Undo } from "./assembly.ts";
import type { DaemonEvent } from "./daemon_events.ts";
import { checkDaemonOptions, type DaemonOptions } from "./options.ts";
import { reportDaemon } from "./status.ts";

const TICK_MS = 250;

/**
 * A running daemon.
 *
 * @example A broker and a daemon in one process
 * ```ts
 * import { Broker, Daemon } from "../mod.ts";
 *
 * await using broker = await Broker.start({ hostname: "127.0.0.1", port: 0, data: ":memory:" });
 * await using daemon = await Daemon.start({
 *   broker: broker.address,
 *   listen: { hostname: "127.0.0.1", port: 0 },
 *   data: ":memory:",
 *   machine: "north",
 * });
 * if (daemon.status().link?.state !== "up") throw new Error("no link");
 * ```
 */
export class Daemon {
  /** Where apps reach it. */
  readonly address: Address;
  /** The token that apps must have; empty if none is asked for. */
  readonly token: string;
  /** The machine's name. */
  readonly machine: string;
  /** Where HTTP listens, `HOST:PORT`; `null` if it is off. */
  readonly http: string | null;
  readonly #parts: Parts;
  readonly #http: HttpServer | null;
  readonly #startedMs: number;
  readonly #takeBackToken: () => void;
  readonly #ticks: Ticks;
  readonly #spaceWatch: SpaceWatch;
  #stopping: Promise<void> | null = null;

  private constructor(parts: Parts) {
    const { address, clock, logger, machine, sessions, store, token } = parts;
    this.#parts = parts;
    this.machine = machine;
    this.token = token ?? "";
    this.address = address;
    this.#startedMs = clock.monotonicMs();
    // First, since it may fail: nothing else has begun.
    this.#http = this.#serveHttp();
    this.http = this.#http?.address ?? null;
    this.#takeBackToken = token === null ? () => {} : handToken(address, token);
    this.#spaceWatch = new SpaceWatch(store, logger);
    this.#ticks = new Ticks(clock, TICK_MS, (lateMs) => this.#tick(lateMs));
    sessions.start();
  }

  /**
   * Starts a daemon. Resolves when apps can connect and the first try to reach the
   * broker is over, with or without success.
   *
   * @param options At least `broker`, `listen` and `data`.
   * @throws {MomError} `option_invalid`, `name_invalid`, `data_in_use`,
   *   `data_version`, `data_damaged`.
   *
   * @example While its broker is away
   * ```ts
   * import { Daemon, Mom } from "../mod.ts";
   *
   * await using daemon = await Daemon.start({
   *   broker: "127.0.0.1:1",
   *   listen: { port: 0 },
   *   data: ":memory:",
   * });
   * await using ana = await Mom.connect({ daemon: daemon.address, name: "ana" });
   * const receipt = await ana.publish("museum/doors/1", "open");
   * if (receipt.level !== "daemon") throw receipt;
   * ```
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    checkDaemonOptions(options);
    let daemon: Daemon | null = null;
    const undo: Undo = [];
    try {
      const parts = await assemble(options, undo, (error) => {
        if (daemon !== null) daemon.#fail(error);
      });
      daemon = new Daemon(parts);
      await parts.link.start();
      return daemon;
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }
  }

  /**
   * What the daemon has and does at this moment.
   *
   * @param query Narrows the rows, never the totals.
   *
   * @example What waits for the broker
   * ```ts
   * import { Broker, Daemon } from "../mod.ts";
   *
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using daemon = await Daemon.start({
   *   broker: broker.address,
   *   listen: { port: 0 },
   *   data: ":memory:",
   * });
   * const { outbox, link } = daemon.status();
   * if (outbox?.messages !== 0 || link?.state !== "up") throw link;
   * ```
   */
  status(query: StatusQuery = {}): StatusReport {
    const { clock, core, incidents, link, machine, sessions, store } =
      this.#parts;
    return reportDaemon({
      core,
      store,
      machine,
      uptimeMs: clock.monotonicMs() - this.#startedMs,
      sessions: sessions.status(),
      link: link.status(),
      incidents,
    }, query);
  }

  /**
   * News of the link and of refused publishes. Bounded at 100; the oldest are
   * dropped.
   *
   * @example The link goes down
   * ```ts
   * import { Broker, Daemon } from "../mod.ts";
   *
   * const broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using daemon = await Daemon.start({
   *   broker: broker.address,
   *   listen: { port: 0 },
   *   data: ":memory:",
   * });
   * const news = daemon.events()[Symbol.asyncIterator]();
   * const next = news.next();
   * await broker.stop();
   * const { value } = await next;
   * if (value?.type !== "link_down") throw value;
   * ```
   */
  events(): AsyncIterable<DaemonEvent> {
    return this.#parts.events.iterate();
  }

  /**
   * Copies the store as it is at this moment into a file, while the daemon goes
   * on. A process of its own does it: where none may be started (`--allow-run`),
   * use `deno task daemon backup FILE`.
   *
   * @param file The file to make.
   * @param options `force`: replaces a file that is there.
   * @throws {MomError} `unsupported` where no process may be started or the data
   *   is in no folder; `option_invalid`, `storage_full`, `data_damaged`.
   *
   * @example Into a folder of its own
   * ```ts
   * import { Daemon } from "../mod.ts";
   *
   * const folder = await Deno.makeTempDir();
   * await using daemon = await Daemon.start({
   *   broker: "127.0.0.1:1",
   *   listen: { path: `${folder}/mom.sock` },
   *   data: `${folder}/data`,
   *   machine: "north",
   * });
   * const report = await daemon.backup(`${folder}/monday`);
   * if (report.messages !== 0 || report.damaged !== 0) throw report;
   * ```
   */
  backup(
    file: string,
    { force = false }: { force?: boolean } = {},
  ): Promise<BackupReport> {
    const main = new URL("./main.ts", import.meta.url);
    const { data } = this.#parts.options;
    return backupInProcess({ data, file, force, main });
  }

  /**
   * Finishes what was accepted, for at most 5 s, and ends. May be called twice.
   *
   * @example Without `await using`
   * ```ts
   * import { Daemon } from "../mod.ts";
   *
   * const daemon = await Daemon.start({
   *   broker: "127.0.0.1:1",
   *   listen: { port: 0 },
   *   data: ":memory:",
   * });
   * await daemon.stop();
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
    const { core, events, link, logger, sessions, store } = this.#parts;
    logger.info("stopping");
    store.stopWaiting();
    this.#ticks.stop();
    await sessions.close();
    await link.stop();
    await core.close();
    await sessions.idle();
    await store.close();
    await this.#http?.stop();
    this.#takeBackToken();
    events.close();
  }

  #fail(error: MomError): void {
    if (this.#stopping !== null) return;
    const { link, logger, options, sessions } = this.#parts;
    // Nothing in memory is true any more: nobody gets another answer than this.
    const reason = new MomError(
      "store_unavailable",
      `The daemon can't go on: ${error.message}`,
    );
    sessions.fail(reason);
    link.abort(error);
    this.stop().catch((error) => logger.error("defect", { error }));
    options.onFailed?.(error);
  }

  #tick(lateMs: number): void {
    const { core, link } = this.#parts;
    core.tick(lateMs);
    // After a stand-still nobody could be read or written to.
    if (lateMs < TICK_MS) link.look();
    this.#spaceWatch.look();
  }

  #serveHttp(): HttpServer | null {
    const { clock, http, logger, token } = this.#parts;
    if (http === null) return null;
    const handler = createHttpApp({
      role: "daemon",
      token,
      hostname: http.hostname,
      status: (query) => this.status(query),
      ready: () => this.#stopping === null,
      metrics: () => toMetrics(this.status()),
    });
    return serveHttp(http, handler, { logger, clock });
  }
}
