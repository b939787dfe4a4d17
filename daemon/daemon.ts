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
import { LIMITS } from "../protocol/limits.ts";
import type { Peer } from "../protocol/peer.ts";
import { userOf } from "../protocol/names.ts";
import { defaultMachine } from "../program/folders.ts";
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
import { readEntries } from "../storage/read_entries.ts";
import { Store } from "../storage/store.ts";
import { listen, networkDialer } from "../transport/dial.ts";
import { DaemonCore } from "./core.ts";
import { LINK_WINDOW_BYTES } from "./upstream.ts";
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
import { decodeEntry, encodeEntry, TABLE } from "./tables.ts";

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
  #rejected: number;
  #isFull = false;
  #takeBack: () => void;
  #stopping: Promise<void> | null = null;

  private constructor(parts: Parts) {
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#store = parts.store;
    this.#core = parts.core;
    this.#link = parts.link;
    this.#listener = parts.listener;
    this.#heartbeats = parts.heartbeats;
    this.#events = parts.events;
    this.#rejected = parts.rejected;
    this.machine = parts.machine;
    this.token = parts.token ?? "";
    this.address = parseAddress(parts.listener.address);
    this.#startedMs = this.#clock.monotonicMs();
    this.#takeBack = parts.token === null
      ? () => {}
      : handToken(this.address, parts.token);
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
        () => readBase(store, commits, options, entropy),
      );
      const heartbeats = new Heartbeats(
        clock,
        options.heartbeatMs ?? DAEMON_DEFAULTS.heartbeatMs,
      );
      const events = new DaemonEvents();
      const core = new DaemonCore({
        commits,
        clock,
        entropy,
        logger,
        machine: base.machine,
        maxMessageBytes: options.maxMessageBytes ??
          DAEMON_DEFAULTS.maxMessageBytes,
        inboxBytesMax: options.inboxBytesMax ?? DAEMON_DEFAULTS.inboxBytesMax,
        outboxBytesMax: options.outboxBytesMax ??
          DAEMON_DEFAULTS.outboxBytesMax,
        outboxLog: base.outboxLog,
        deadLog: base.deadLog,
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
      });
      await readEntries(options.data, () => core.load());
      const listener = options.listener ??
        listen(listenAddress(options), { removeStale: true });
      undo.push(() => listener.close());
      const token = await readToken(options, listener, store);
      const brokerAddress = formatAddress(options.broker);
      const link = new Link({
        dialer: options.dialer ?? networkDialer,
        address: brokerAddress,
        clock,
        entropy,
        heartbeats,
        logger,
        machine: base.machine,
        machineKey: store.id,
        credit: LINK_WINDOW_BYTES,
        token: () => brokerToken(options),
        onUp: (peer, welcome) => {
          core.upstream.linkUp(peer, welcome.epoch);
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
        http: httpAddress(options),
        entropy,
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
    }, query);
  }

  /** News of the link and of refused publishes. Bounded at 100; the oldest are dropped. */
  events(): AsyncIterable<DaemonEvent> {
    return this.#events.iterate();
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
    // Nothing in memory is true any more: nobody gets another answer.
    for (const { peer } of [...this.#sessions.values()]) peer.abort(error);
    this.#link.abort(error);
    // Not among the tasks: stopping waits for those.
    this.stop().catch((error) => this.#logger.error("defect", { error }));
    onFailed?.(error);
  }

  #tick(): void {
    this.#timer = this.#clock.setTimer(TICK_MS, () => this.#tick());
    this.#core.tick();
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
      if (this.#openings.size >= LIMITS.unwelcomedConnections) stream.close();
      else this.#watch(this.#serve(stream, parts));
      stream = await this.#listener.accept();
    }
  }

  async #serve(stream: ByteStream, parts: Parts): Promise<void> {
    this.#openings.add(stream);
    const opened = await acceptPeer(stream, {
      clock: parts.clock,
      entropy: parts.entropy,
      heartbeats: parts.heartbeats,
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
  readonly http: { hostname: string; port: number } | null;
  readonly maxMessageBytes: number;
}

type BaseEntry = [machine: string, outboxLog: number, deadLog: number];

/** The daemon's own entry; made at the first start. */
function readBase(
  store: Store,
  commits: Commits,
  options: DaemonOptions,
  entropy: typeof systemEntropy,
): { machine: string; outboxLog: number; deadLog: number } {
  const known = store.takeEntries(TABLE.daemon).get(1);
  if (known !== undefined) {
    const [machine, outboxLog, deadLog] = decodeEntry<BaseEntry>(known);
    if (options.machine !== undefined && options.machine !== machine) {
      throw new MomError(
        "option_invalid",
        `Cannot start daemon: option "machine" is "${options.machine}", ` +
          `but the data folder belongs to "${machine}"`,
      );
    }
    return { machine, outboxLog, deadLog };
  }
  const random = () => `memory-${entropy.bytes(6).toHex()}`;
  const machine = options.machine ??
    (store.isMemory ? random() : defaultMachine());
  const outboxLog = commits.createLog();
  const deadLog = commits.createLog();
  store.put(TABLE.daemon, 1, encodeEntry([machine, outboxLog, deadLog]));
  store.commit();
  return { machine, outboxLog, deadLog };
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
): Promise<string | null> {
  if (options.token !== undefined) {
    return checkToken(options.token, 'option "token"');
  }
  if (options.insecureNoToken) return null;
  const address = parseAddress(listener.address);
  if (!isLocalAddress(address) && options.tokenFile === undefined) {
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
