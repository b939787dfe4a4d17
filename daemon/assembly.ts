/**
 * Puts a daemon together from its options: the store is opened, what it holds is
 * read, and the parts are made that stand on it.
 *
 * @module
 */

import {
  type Address,
  formatAddress,
  parseAddress,
  type TcpAddress,
} from "../protocol/address.ts";
import {
  type Clock,
  type Entropy,
  systemClock,
  systemEntropy,
} from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { type Logger, silentLogger } from "../program/log.ts";
import { readEntries } from "../storage/read_entries.ts";
import { Store } from "../storage/store.ts";
import { listen, networkDialer } from "../transport/dial.ts";
import { readBrokerToken, readToken } from "./access.ts";
import { AppSessions } from "./app_sessions.ts";
import { type Base, machineKeyOf, readBase } from "./base.ts";
import { Commits } from "./commits.ts";
import { DaemonCore } from "./core.ts";
import { DaemonEvents } from "./daemon_events.ts";
import { Incidents } from "./incidents.ts";
import { Link } from "./link.ts";
import {
  DAEMON_DEFAULTS,
  type DaemonOptions,
  httpAddress,
  listenAddress,
} from "./options.ts";
import { LINK_WINDOW_BYTES } from "./upstream/flows.ts";

/** What a daemon is put together from. */
export interface Parts {
  readonly options: DaemonOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly machine: string;
  /** Where apps reach it. */
  readonly address: Address;
  /** Where HTTP is to listen, if anywhere. */
  readonly http: TcpAddress | null;
  /** What apps must have; `null`: everybody is let in. */
  readonly token: string | null;
  readonly store: Store;
  readonly core: DaemonCore;
  readonly link: Link;
  readonly sessions: AppSessions;
  readonly events: DaemonEvents;
  readonly incidents: Incidents;
}

/** What is there before the parts that stand on it. */
interface Ground {
  readonly options: DaemonOptions;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly commits: Commits;
  readonly store: Store;
}

/** What is to be done, last first, if the start comes to nothing. */
export type Undo = (() => unknown)[];

/**
 * Opens the store and makes the parts. It listens; nothing else has begun.
 *
 * @param undo Gets how all that was opened is closed.
 * @param onFailed Hears that the daemon can't go on.
 * @throws {MomError} `option_invalid`, `data_in_use`, `data_version`,
 *   `data_damaged`.
 */
export async function assemble(
  options: DaemonOptions,
  undo: Undo,
  onFailed: (error: MomError) => void,
): Promise<Parts> {
  const ground = await openGround(options, onFailed);
  const { clock, entropy, logger, commits, store } = ground;
  undo.push(() => store.close());
  const base = await readEntries(
    options.data,
    () => readBase(commits, options.machine, entropy),
  );
  const { machine } = base;
  const broker = formatAddress(options.broker);
  const events = new DaemonEvents();
  const incidents = new Incidents({ logger, events, machine, broker });
  const core = newCore(ground, {
    base,
    incidents,
    onConfused: (error) => link.fail(error),
  });
  await readEntries(options.data, () => core.load());
  const listener = options.listener ??
    listen(listenAddress(options), { removeStale: true });
  undo.push(() => listener.close());
  const { address } = listener;
  const { isMemory } = store;
  const token = await readToken(options, { address, isMemory, logger });
  const link = newLink(ground, { machine, broker, core, events });
  await store.committed();
  const sessions = new AppSessions({
    clock,
    entropy,
    logger,
    commits,
    core,
    listener,
    token,
    machine,
    heartbeatMs: options.heartbeatMs ?? DAEMON_DEFAULTS.heartbeatMs,
    maxMessageBytes: options.maxMessageBytes ?? DAEMON_DEFAULTS.maxMessageBytes,
  });
  return {
    options,
    clock,
    logger,
    machine,
    address: parseAddress(address),
    http: httpAddress(options),
    token,
    store,
    core,
    link,
    sessions,
    events,
    incidents,
  };
}

async function openGround(
  options: DaemonOptions,
  onFailed: (error: MomError) => void,
): Promise<Ground> {
  const clock = options.clock ?? systemClock;
  const entropy = options.entropy ?? systemEntropy;
  const logger = options.logger ?? silentLogger;
  const fail = (error: unknown) => {
    const reason = toReason(error);
    logger.error("failed", { error: reason });
    commits.end();
    onFailed(reason);
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
  commits.attach(store);
  return { options, clock, entropy, logger, commits, store };
}

function toReason(error: unknown): MomError {
  return error instanceof MomError
    ? error
    : new MomError("internal", "The daemon can't go on", { cause: error });
}

function newCore(
  { options, commits, clock, entropy, logger }: Ground,
  { base, incidents, onConfused }: {
    base: Base;
    incidents: Incidents;
    onConfused(error: MomError): void;
  },
): DaemonCore {
  return new DaemonCore({
    commits,
    clock,
    entropy,
    logger,
    base,
    maxMessageBytes: options.maxMessageBytes ?? DAEMON_DEFAULTS.maxMessageBytes,
    inboxBytesMax: options.inboxBytesMax ?? DAEMON_DEFAULTS.inboxBytesMax,
    outboxBytesMax: options.outboxBytesMax ?? DAEMON_DEFAULTS.outboxBytesMax,
    onConfused,
    onRejected: (user, item) => incidents.rejected(user, item),
    onLost: (user, topic, count) => incidents.lost(user, topic, count),
    onEpochChanged: (from, to, mayComeTwice) =>
      incidents.epochChanged(from, to, mayComeTwice),
  });
}

function newLink(
  { options, commits, clock, entropy, logger, store }: Ground,
  { machine, broker, core, events }: {
    machine: string;
    broker: string;
    core: DaemonCore;
    events: DaemonEvents;
  },
): Link {
  return new Link({
    dialer: options.dialer ?? networkDialer,
    address: broker,
    clock,
    entropy,
    heartbeatMs: options.heartbeatMs ?? DAEMON_DEFAULTS.heartbeatMs,
    logger,
    machine,
    machineKey: machineKeyOf(store),
    credit: LINK_WINDOW_BYTES,
    token: () => readBrokerToken(options),
    onUp: (peer, welcome) => {
      core.upstream.linkUp(peer, welcome);
      events.emit({ type: "link_up", broker });
    },
    onMessage: (message) => core.upstream.onBroker(message),
    onDown: () => {
      if (!commits.isEnded) core.upstream.linkDown();
      events.emit({ type: "link_down", broker });
    },
  });
}
