/**
 * Options of a handle's methods.
 *
 * @module
 */

import type { AddressLike } from "../../protocol/address.ts";
import type { Dialer } from "../../protocol/byte_stream.ts";
import type { Clock, Entropy } from "../../protocol/clock.ts";
import type { Headers } from "./message.ts";

/** Options of {@linkcode Mom.connect}. */
export interface ConnectOptions {
  /**
   * Address of the daemon.
   *
   * @default The environment's `MOM_DAEMON`, else where this machine's daemon
   * listens by default.
   */
  daemon?: AddressLike;
  /**
   * Address of a broker, for a handle without a daemon. Not together with `daemon`.
   *
   * @default None: the handle goes through a daemon.
   */
  broker?: AddressLike;
  /**
   * Name of the user: its subscriptions and waiting messages outlive the handle.
   *
   * @default An unnamed user, which ends with its handle.
   */
  name?: string;
  /**
   * The token of the daemon or broker.
   *
   * @default What this operating-system user's programs have for an address of
   * this machine.
   */
  token?: string;
  /**
   * How long connecting, and calls while the daemon is away, wait at most, in
   * milliseconds.
   *
   * @default {10_000}
   */
  reconnectTimeoutMs?: number;
  /**
   * Silence in milliseconds after which a sign of life is asked for; three times
   * that is the end of a connection. For tests.
   *
   * @default {10_000}
   */
  heartbeatMs?: number;
  /**
   * How connections are made; for tests and simulations.
   *
   * @default The operating system's network.
   */
  dialer?: Dialer;
  /**
   * Where the time comes from; for tests and simulations.
   *
   * @default The operating system's clock.
   */
  clock?: Clock;
  /**
   * Where chance comes from; for tests and simulations.
   *
   * @default The operating system's.
   */
  entropy?: Entropy;
}

/** Options of {@linkcode Mom.publish} and {@linkcode Mom.publishMany}. */
export interface PublishOptions {
  /**
   * `"broker"`: the receipt waits until the message is on the broker's disk.
   *
   * @default The first of the two that has it.
   */
  level?: "broker";
  /** Sent with the message: at most 16 KiB as encoded. @default None. */
  headers?: Headers;
  /**
   * Not delivered later than so many milliseconds from now; at least 1.
   *
   * @default No limit.
   */
  expiresMs?: number;
  /**
   * Only for the broker's store with that number, as {@linkcode Message.epoch} told:
   * after a restore, or the loss of its disk, it is refused with `store_replaced`.
   *
   * @default For any.
   */
  epoch?: number;
  /**
   * How long to wait for the receipt, in milliseconds; then the call rejects
   * with `outcome_unknown`, and the message may still arrive.
   *
   * @default No limit while the daemon is there.
   */
  timeoutMs?: number;
  /** Ends the wait in the same way. @default None. */
  signal?: AbortSignal;
}

/** Options of {@linkcode Mom.subscribe}. */
export interface SubscribeOptions {
  /**
   * Where to begin: what comes from now on, the earliest that is there, the last
   * message of each topic, an offset, or a time.
   *
   * @default {"now"}
   */
  from?: "now" | "earliest" | "last" | { offset: number } | { time: Date };
  /**
   * `"manual"`: the app acknowledges each message with `ack()`.
   *
   * @default Taking a message acknowledges it.
   */
  ack?: "manual";
  /**
   * Whether messages of the user's own handle come too.
   *
   * @default {false}
   */
  echo?: boolean;
  /**
   * Whether a subscription that is there already is answered with `false`
   * instead of `already_subscribed`.
   *
   * @default {false}
   */
  ifNew?: boolean;
}

/** Options of {@linkcode Mom.receive}. */
export interface ReceiveOptions {
  /**
   * How long to wait, in milliseconds; then the call resolves with nothing.
   *
   * @default No limit while the daemon is there.
   */
  timeoutMs?: number;
  /** Ends the wait; the call rejects with its reason. @default None. */
  signal?: AbortSignal;
}

/** Options of {@linkcode Mom.receiveMany}. */
export interface ReceiveManyOptions extends ReceiveOptions {
  /**
   * How many messages at most; at least 1.
   *
   * @default {100}
   */
  max?: number;
}
