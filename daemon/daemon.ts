/**
 * The daemon: one on every machine. Apps talk to it; it talks to the broker, and
 * keeps what either of them can't take now.
 *
 * @module
 */

import {
  type Address,
  formatAddress,
  isLocalAddress,
  parseAddress,
} from "../protocol/address.ts";
import type { ByteListener, ByteStream } from "../protocol/byte_stream.ts";
import {
  type Clock,
  systemClock,
  systemEntropy,
  type Timer,
} from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { acceptPeer } from "../protocol/handshake.ts";
import { Heartbeats } from "../protocol/heartbeats.ts";
import { Unread } from "../protocol/unread.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Peer } from "../protocol/peer.ts";
import { userOf } from "../protocol/names.ts";
import { createHttpApp } from "../program/http.ts";
import { type HttpServer, serveHttp } from "../program/http_server.ts";
import { type Logger, silentLogger } from "../program/log.ts";
import { toMetrics } from "../program/metrics.ts";
import type {
  SessionStatus,
  StatusQuery,
  StatusReport,
} from "../program/status.ts";
import { handToken } from "../program/token_registry.ts";
import {
  checkToken,
  findToken,
  makeToken,
  readOrMakeToken,
  readTokenFile,
  tokenPath,
} from "../program/tokens.ts";
import type { BackupReport } from "../storage/backup.ts";
import { backupInProcess } from "../storage/backup_process.ts";
import { readEntries } from "../storage/read_entries.ts";
import { Store } from "../storage/store.ts";
import { listen, networkDialer } from "../transport/dial.ts";
import { machineKeyOf, readBase } from "./base.ts";
import { DaemonCore } from "./core.ts";
import { LINK_WINDOW_BYTES } from "./upstream_flows.ts";
import { DaemonEvents } from "./daemon_events.ts";
import type { DaemonEvent } from "./daemon_events.ts";
import { Commits } from "./commits.ts";
import { Link } from "./link.ts";
import {
  checkDaemonOptions,
  DAEMON_DEFAULTS,
  type DaemonOptions,
} from "./options.ts";
import { reportDaemon } from "./status.ts";

const TICK_MS = 250;

interface Session {
  readonly peer: Peer;
  readonly sinceMs: number;
  readonly done: Promise<void>;
}

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
  readonly #data: string;
  #clock: Clock;
  #logger: Logger;
  #store: Store;
  #core: DaemonCore;
  #link: Link;
  #listener: ByteListener;
  #heartbeats: Heartbeats;
  #http: HttpServer | null = null;
  #events: DaemonEvents;
  #sessions = new Map<Peer, Session>();
  #openings = new Set<ByteStream>();
  #tasks = new Set<Promise<unknown>>();
  #startedMs: number;
  #timer: Timer;
  #tickDueMs: number;
  readonly #unread = new Unread();
  #rejected: number;
  readonly #lost: Parts["lost"];
  #isFull = false;
  #takeBack: () => void;
  #stopping: Promise<void> | null = null;

  private constructor(parts: Parts) {
    this.#data = parts.data;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#store = parts.store;
    this.#core = parts.core;
    this.#link = parts.link;
    this.#listener = parts.listener;
    this.#heartbeats = parts.heartbeats;
    this.#events = parts.events;
    this.#rejected = parts.rejected;
    this.#lost = parts.lost;
    this.machine = parts.machine;
    this.token = parts.token ?? "";
    this.address = parseAddress(parts.listener.address);
    this.#startedMs = this.#clock.monotonicMs();
    this.#takeBack = parts.token === null
      ? () => {}
      : handToken(this.address, parts.token);
    this.#tickDueMs = this.#startedMs + TICK_MS;
    this.#timer = this.#clock.setTimer(TICK_MS, () => this.#tick());
    this.#watch(this.#accept(parts));
    if (parts.http !== null) {
      const handler = createHttpApp({
        role: "daemon",
        token: parts.token,
        hostname: parts.http.hostname,
        status: (query) => this.status(query),
        ready: () => this.#stopping === null,
        metrics: () => toMetrics(this.status()),
      });
      this.#http = serveHttp(parts.http, handler, {
        logger: this.#logger,
        clock: this.#clock,
      });
    }
    this.http = this.#http?.address ?? null;
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
    const holder: { daemon: Daemon | null } = { daemon: null };
    const clock = options.clock ?? systemClock;
    const entropy = options.entropy ?? systemEntropy;
    const logger = options.logger ?? silentLogger;
    const fail = (error: unknown) => {
      const reason = error instanceof MomError
        ? error
        : new MomError("internal", "The daemon can't go on", { cause: error });
      logger.error("failed", { error: reason });
      commits.end();
      if (holder.daemon !== null) holder.daemon.#fail(reason, options.onFailed);
    };
    const commits = new Commits(fail);
    const store = await Store.open({
      data: options.data,
      role: "daemon",
      clock,
      entropy,
      openKv: options.openKv,
      onFailed: fail,
      onSeal: () => commits.seal(),
    });
    const undo: (() => unknown)[] = [() => store.close()];
    try {
      commits.attach(store);
      const base = await readEntries(
        options.data,
        () => readBase(commits, options.machine, entropy),
      );
      const heartbeatMs = options.heartbeatMs ?? DAEMON_DEFAULTS.heartbeatMs;
      const heartbeats = new Heartbeats(clock, heartbeatMs);
      const events = new DaemonEvents();
      const brokerAddress = formatAddress(options.broker);
      const lost = { count: 0, epochs: 0 };
      const core = new DaemonCore({
        commits,
        clock,
        entropy,
        logger,
        base,
        maxMessageBytes: options.maxMessageBytes ??
          DAEMON_DEFAULTS.maxMessageBytes,
        inboxBytesMax: options.inboxBytesMax ?? DAEMON_DEFAULTS.inboxBytesMax,
        outboxBytesMax: options.outboxBytesMax ??
          DAEMON_DEFAULTS.outboxBytesMax,
        onConfused: (error) => link.fail(error),
        onRejected: (user, { topic, count, error }) => {
          const machine = base.machine;
          logger.warn("rejected", {
            user,
            machine,
            topic,
            count,
            code: error.code,
          });
          events.emit({
            type: "rejected",
            user,
            topic,
            count,
            code: error.code,
          });
          if (holder.daemon !== null) holder.daemon.#rejected += count;
        },
        onLost: (user, topic, count) => {
          logger.warn("lost", { user, machine: base.machine, topic, count });
          events.emit({ type: "lost", user, topic, count });
          lost.count += count;
        },
        onEpochChanged: (from, to, mayComeTwice) => {
          const broker = brokerAddress;
          logger.warn("epoch_changed", { broker, from, to, mayComeTwice });
          events.emit({
            type: "epoch_changed",
            broker,
            from,
            to,
            mayComeTwice,
          });
          lost.epochs++;
        },
      });
      await readEntries(options.data, () => core.load());
      const listener = options.listener ??
        listen(listenAddress(options), { removeStale: true });
      undo.push(() => listener.close());
      const token = await readToken(options, listener, store, logger);
      const link = new Link({
        dialer: options.dialer ?? networkDialer,
        address: brokerAddress,
        clock,
        entropy,
        heartbeatMs,
        logger,
        machine: base.machine,
        machineKey: machineKeyOf(store),
        credit: LINK_WINDOW_BYTES,
        token: () => brokerToken(options),
        onUp: (peer, welcome) => {
          core.upstream.linkUp(peer, welcome);
          events.emit({ type: "link_up", broker: brokerAddress });
        },
        onMessage: (message) => core.upstream.onBroker(message),
        onDown: () => {
          if (!commits.isEnded) core.upstream.linkDown();
          events.emit({ type: "link_down", broker: brokerAddress });
        },
      });
      await store.committed();
      const daemon = new Daemon({
        clock,
        logger,
        store,
        commits,
        core,
        link,
        listener,
        heartbeats,
        events,
        token,
        machine: base.machine,
        rejected: store.end(base.deadLog),
        lost,
        http: httpAddress(options),
        entropy,
        data: options.data,
        maxMessageBytes: options.maxMessageBytes ??
          DAEMON_DEFAULTS.maxMessageBytes,
      });
      holder.daemon = daemon;
      await link.start();
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
    return reportDaemon({
      core: this.#core,
      store: this.#store,
      machine: this.machine,
      uptimeMs: this.#clock.monotonicMs() - this.#startedMs,
      sessions: [...this.#sessions.values()].map((session) =>
        this.#sessionStatus(session)
      ),
      link: this.#link.status(),
      rejected: this.#rejected,
      lost: this.#lost,
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
    return this.#events.iterate();
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
    return backupInProcess({ data: this.#data, file, force, main });
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
    this.#logger.info("stopping");
    this.#store.stopWaiting();
    this.#timer.cancel();
    this.#listener.close();
    for (const stream of this.#openings) stream.close();
    const goodbye = {
      type: "GOAWAY",
      reason: "the daemon stops",
      ms: 0,
    } as const;
    for (const { peer } of this.#sessions.values()) peer.send(goodbye);
    await Promise.all(
      [...this.#sessions.values()].map(({ peer }) => peer.close()),
    );
    await this.#link.stop();
    await this.#core.close();
    await Promise.all([...this.#tasks]);
    await this.#store.close();
    await this.#http?.stop();
    this.#heartbeats.stop();
    this.#takeBack();
    this.#events.close();
  }

  #fail(error: MomError, onFailed: DaemonOptions["onFailed"]): void {
    if (this.#stopping !== null) return;
    // Nothing in memory is true any more: nobody gets another answer than this.
    const reason = new MomError(
      "store_unavailable",
      `The daemon can't go on: ${error.message}`,
    );
    for (const { peer } of [...this.#sessions.values()]) peer.fail(reason);
    this.#link.abort(error);
    // Not among the tasks: stopping waits for those.
    this.stop().catch((error) => this.#logger.error("defect", { error }));
    onFailed?.(error);
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    const lateMs = nowMs - this.#tickDueMs;
    this.#tickDueMs = nowMs + TICK_MS;
    this.#timer = this.#clock.setTimer(TICK_MS, () => this.#tick());
    this.#core.tick(lateMs);
    // After a stand-still nobody could be read or written to.
    if (lateMs < TICK_MS) this.#link.look();
    this.#watchSpace();
  }

  #watchSpace(): void {
    const isFull = !this.#store.canAppend();
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    if (isFull) this.#logger.warn("storage_full");
    else this.#logger.info("storage_free");
  }

  /** Owns a task until it is over. */
  #watch(task: Promise<unknown>): void {
    const owned = task
      .catch((error) => this.#logger.error("defect", { error }))
      .finally(() => this.#tasks.delete(owned));
    this.#tasks.add(owned);
  }

  async #accept(parts: Parts): Promise<void> {
    for (let stream = await this.#listener.accept(); stream !== null;) {
      if (this.#openings.size >= LIMITS.unwelcomedConnections) {
        // The oldest: who means it is through within milliseconds.
        const [oldest] = this.#openings;
        this.#openings.delete(oldest);
        oldest.close();
      }
      this.#watch(this.#serve(stream, parts));
      stream = await this.#listener.accept();
    }
  }

  async #serve(stream: ByteStream, parts: Parts): Promise<void> {
    this.#openings.add(stream);
    const opened = await acceptPeer(stream, {
      clock: parts.clock,
      entropy: parts.entropy,
      heartbeats: parts.heartbeats,
      unread: this.#unread,
      token: parts.token,
      maxMessageBytes: parts.maxMessageBytes,
      admit: (hello) => {
        if (hello.role !== "app") {
          throw new MomError(
            "bad_message",
            `Cannot welcome a ${hello.role}: this is a daemon`,
          );
        }
        const { id, epoch } = this.#store;
        return { role: "daemon", machine: this.machine, storeId: id, epoch };
      },
      handlers: (peer) => ({
        onMessage: (message) => this.#core.onApp(peer, message),
        onClose: () => {
          this.#sessions.delete(peer);
          if (!parts.commits.isEnded) this.#core.onAppLost(peer);
        },
        onDrained: () => this.#core.onAppDrained(peer),
        onDefect: (error) => this.#logger.error("defect", { error }),
      }),
    }).finally(() => this.#openings.delete(stream));
    if (opened === null) return;
    const { peer, done } = opened;
    if (peer.isClosed) return;
    this.#sessions.set(peer, {
      peer,
      done,
      sinceMs: this.#clock.monotonicMs(),
    });
    if (this.#stopping !== null) peer.abort();
    await done;
  }

  #sessionStatus({ peer, sinceMs }: Session): SessionStatus {
    const name = this.#core.nameOf(peer);
    return {
      machine: this.machine,
      role: "app",
      users: name === null ? [] : [userOf(name, this.machine)],
      connectedMs: this.#clock.monotonicMs() - sinceMs,
      remote: peer.remote,
    };
  }
}

interface Parts {
  readonly data: string;
  readonly clock: Clock;
  readonly entropy: typeof systemEntropy;
  readonly logger: Logger;
  readonly store: Store;
  readonly commits: Commits;
  readonly core: DaemonCore;
  readonly link: Link;
  readonly listener: ByteListener;
  readonly heartbeats: Heartbeats;
  readonly events: DaemonEvents;
  readonly token: string | null;
  readonly machine: string;
  readonly rejected: number;
  readonly lost: { readonly count: number; readonly epochs: number };
  readonly http: { hostname: string; port: number } | null;
  readonly maxMessageBytes: number;
}

function listenAddress(options: DaemonOptions): Address {
  const where = options.listen;
  if (typeof where === "string") return parseAddress(where);
  if ("path" in where) return where;
  return { hostname: where.hostname ?? "127.0.0.1", port: where.port };
}

function httpAddress(
  options: DaemonOptions,
): { hostname: string; port: number } | null {
  if (options.http === undefined || options.http === "off") return null;
  const address = parseAddress(options.http);
  if ("path" in address) {
    throw new MomError(
      "option_invalid",
      `Cannot start daemon: option "http" is "${
        formatAddress(address)
      }", expected HOST:PORT`,
    );
  }
  return address;
}

/** The token for apps; `null`: everybody is let in. */
async function readToken(
  options: DaemonOptions,
  listener: ByteListener,
  store: Store,
  logger: Logger,
): Promise<string | null> {
  const address = parseAddress(listener.address);
  const isLocal = isLocalAddress(address);
  if (!isLocal) logger.warn("no_tls", { address: listener.address });
  if (options.token !== undefined) {
    return checkToken(options.token, 'option "token"');
  }
  if (options.insecureNoToken) return null;
  if (!isLocal && options.tokenFile === undefined) {
    throw new MomError(
      "option_invalid",
      `Cannot listen on ${listener.address}: apps belong to this machine; ` +
        "beyond loopback a token is needed",
    );
  }
  if (store.isMemory) return makeToken();
  return await readOrMakeToken(options.tokenFile ?? tokenPath(address));
}

async function brokerToken(options: DaemonOptions): Promise<string | null> {
  if (options.brokerToken !== undefined) return options.brokerToken;
  if (options.brokerTokenFile !== undefined) {
    return await readTokenFile(options.brokerTokenFile);
  }
  return await findToken(options.broker);
}
