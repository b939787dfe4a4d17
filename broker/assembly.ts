/**
 * Puts a broker together from its options: the store is opened, what it holds is
 * read, and the parts are made that stand on it.
 *
 * @module
 */

import {
  type Address,
  parseAddress,
  type TcpAddress,
} from "../protocol/address.ts";
import { type Clock, systemClock, systemEntropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { type Logger, silentLogger } from "../program/log.ts";
import { readEntries } from "../storage/read_entries.ts";
import { Store } from "../storage/store.ts";
import { listen } from "../transport/dial.ts";
import { readToken } from "./access.ts";
import { Core } from "./core/core.ts";
import { RETENTION_LIMITS } from "./core/retention.ts";
import { diskShareOf } from "./disk_share.ts";
import { BROKER_DEFAULTS, type BrokerOptions, httpAddress } from "./options.ts";
import { Sessions } from "./sessions.ts";

/** What a broker is put together from. */
export interface Parts {
  readonly options: BrokerOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where daemons and apps reach it. */
  readonly address: Address;
  /** Where HTTP is to listen, if anywhere. */
  readonly http: TcpAddress | null;
  /** What daemons and apps must have; `null`: everybody is let in. */
  readonly token: string | null;
  readonly store: Store;
  readonly core: Core;
  readonly sessions: Sessions;
}

/** What is to be done, last first, if the start comes to nothing. */
export type Undo = (() => unknown)[];

/**
 * Opens the store and makes the parts. It listens; nothing else has begun.
 *
 * @param undo Gets how all that was opened is closed.
 * @param onFailed Hears that the broker can't go on.
 * @throws {MomError} `option_invalid`, `data_in_use`, `data_version`,
 *   `data_damaged`, `store_unavailable`.
 */
export async function assemble(
  options: BrokerOptions,
  undo: Undo,
  onFailed: (error: MomError) => void,
): Promise<Parts> {
  const clock = options.clock ?? systemClock;
  const entropy = options.entropy ?? systemEntropy;
  const logger = options.logger ?? silentLogger;
  let core: Core | null = null;
  const fail = (error: unknown) => {
    const reason = toReason(error);
    logger.error("failed", { error: reason });
    core?.fail();
    onFailed(reason);
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
  undo.push(() => store.close());
  core = await readEntries(
    options.data,
    () => newCore(options, store, logger, fail),
  );
  const listener = options.listener ?? listen({
    hostname: options.hostname ?? BROKER_DEFAULTS.hostname,
    port: options.port ?? BROKER_DEFAULTS.port,
  });
  undo.push(() => listener.close());
  const { address } = listener;
  const { isMemory } = store;
  const context = { address, isMemory, entropy, logger };
  const token = await readToken(options, context);
  const sessions = new Sessions({
    clock,
    entropy,
    logger,
    store,
    core,
    listener,
    token,
    heartbeatMs: options.heartbeatMs ?? BROKER_DEFAULTS.heartbeatMs,
    maxMessageBytes: options.maxMessageBytes ?? BROKER_DEFAULTS.maxMessageBytes,
  });
  return {
    options,
    clock,
    logger,
    address: parseAddress(address),
    http: httpAddress(options),
    token,
    store,
    core,
    sessions,
  };
}

/** What a failure is to who hears of it. */
export function toReason(error: unknown): MomError {
  return error instanceof MomError
    ? error
    : new MomError("internal", "Cannot go on: defect", { cause: error });
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
