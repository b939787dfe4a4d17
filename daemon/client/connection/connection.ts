/**
 * The way to the daemon (or, for a direct handle, the broker): connects, opens
 * the conversation, has the user attached, and does all of that again when it is
 * lost.
 *
 * @module
 */

import { type AddressLike, formatAddress } from "../../../protocol/address.ts";
import type { ByteStream, Dialer } from "../../../protocol/byte_stream.ts";
import type { Timer } from "../../../protocol/clock.ts";
import { MomError } from "../../../protocol/errors.ts";
import { asMomError, connectPeer } from "../../../protocol/handshake.ts";
import { Heartbeats } from "../../../protocol/heartbeats.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import type { Attached, Message, Welcome } from "../../../protocol/messages.ts";
import type { Peer } from "../../../protocol/peer.ts";
import { findToken } from "../../../program/tokens.ts";
import { dialInTime } from "../../../transport/dial_in_time.ts";
import type { EventSource } from "../events.ts";
import {
  Attaching,
  type AttachingOwner,
  type AttachingUser,
} from "./attaching.ts";
import { isFinal, toMomError } from "./failures.ts";
import { Retries } from "./retries.ts";

/** What a connection stands on. */
export interface ConnectionOptions extends AttachingUser {
  readonly address: AddressLike;
  /** `null`: looked up before each attempt. */
  readonly token: string | null;
  readonly reconnectTimeoutMs: number;
  /** Silence after which a sign of life is asked for. */
  readonly heartbeatMs: number;
  readonly dialer: Dialer;
  readonly events: EventSource;
}

/** Whom a connection tells. */
export interface ConnectionOwner extends AttachingOwner {
  /** A message of the conversation. */
  onMessage(message: Message): void;
  /** The connection is lost; another attempt follows. */
  onDetached(): void;
  /** Called now and then while there is no connection. */
  onAway(sinceMs: number): void;
  /** The handle is at its end; there will be no other attempt. */
  onFailed(error: MomError): void;
}

/** How often waits are looked at while there is no connection. */
const AWAY_TICK_MS = 50;

/** The connection of one handle, over all attempts. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #owner: ConnectionOwner;
  readonly #attaching: Attaching;
  readonly #retries: Retries;
  readonly #heartbeats: Heartbeats;
  readonly #ending = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  #stream: ByteStream | null = null;
  #peer: Peer | null = null;
  #attachedMs = 0;
  /** Why the try before the one under way failed. */
  #lastReason: MomError | null = null;
  #reason: MomError | null = null;
  #awayTimer: Timer | null = null;
  #running: Promise<void> | null = null;

  constructor(options: ConnectionOptions, owner: ConnectionOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#heartbeats = new Heartbeats(
      options.clock,
      options.heartbeatMs,
      LIMITS.heartbeatsMissedByClient,
    );
    this.#retries = new Retries(options);
    this.#attaching = new Attaching(options, {
      onAttaching: () => owner.onAttaching(),
      onAttached: (...how) => this.#onAttached(...how),
    });
  }

  /** The user's identity (PROTOCOL 5.2); `null` before the first ATTACHED. */
  get incarnation(): Uint8Array | null {
    return this.#attaching.incarnation;
  }

  /**
   * Begins; resolves when the user is attached for the first time.
   *
   * @throws {MomError} `daemon_unavailable` when that takes too long; what the
   *   other side answered when trying again does not help.
   */
  async start(): Promise<void> {
    const { clock, reconnectTimeoutMs, address } = this.#options;
    const timer = reconnectTimeoutMs === Infinity
      ? null
      : clock.setTimer(reconnectTimeoutMs, () =>
        this.#first.reject(
          new MomError(
            "daemon_unavailable",
            `Cannot connect to "${
              formatAddress(address)
            }": no success within ${reconnectTimeoutMs} ms`,
            // The try under way has no failure yet: the one before tells more.
            { cause: this.#reason ?? this.#lastReason },
          ),
        ));
    this.#running = this.#run();
    try {
      await this.#first.promise;
    } catch (error) {
      await this.end();
      throw error;
    } finally {
      timer?.cancel();
    }
  }

  /** Ends the conversation and all attempts. May be called twice. */
  async end(): Promise<void> {
    this.#ending.abort();
    if (this.#peer === null) this.#stream?.close();
    else await this.#peer.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      this.#options.events.emit({ type: "connecting" });
      this.#reason = null;
      try {
        await this.#converse();
      } catch (error) {
        this.#reason = toMomError(error, this.#options.address);
        this.#lastReason = this.#reason;
      }
      this.#lose();
      if (this.#ending.signal.aborted) break;
      const wasAttached = this.incarnation !== null;
      if (this.#reason !== null && isFinal(this.#reason, wasAttached)) {
        return this.#fail(this.#reason);
      }
      await this.#pause();
    }
    this.#stopAway();
  }

  /** One connection, from dialling to its end. */
  async #converse(): Promise<void> {
    const { address, clock, entropy, dialer } = this.#options;
    const token = this.#options.token ?? await findToken(address);
    this.#stream = await dialInTime(dialer, formatAddress(address), {
      clock,
      signal: this.#ending.signal,
      code: "daemon_unavailable",
    });
    if (this.#ending.signal.aborted) return this.#stream.close();
    const { done } = await connectPeer(this.#stream, {
      clock,
      entropy,
      token,
      heartbeats: this.#heartbeats,
      hello: {
        role: "app",
        machine: null,
        machineKey: null,
        // The window of the one user is the window of the connection.
        credit: Number.MAX_SAFE_INTEGER,
      },
      handlers: (peer, welcome) => {
        this.#open(peer);
        return {
          onMessage: (message) => this.#onMessage(peer, welcome, message),
          onClose: (reason) => void (this.#reason ??= reason),
        };
      },
    });
    await done;
  }

  /** WELCOME. */
  #open(peer: Peer): void {
    this.#peer = peer;
    if (this.#ending.signal.aborted) return peer.abort();
    this.#attaching.begin(peer);
  }

  #onMessage(peer: Peer, welcome: Welcome, message: Message): void {
    if (message.type === "ERROR" && message.request === null) {
      // It tells why the connection ends.
      this.#reason = asMomError(message);
    } else if (this.#attaching.isAttached) this.#owner.onMessage(message);
    else this.#attaching.onMessage(peer, welcome, message);
  }

  #onAttached(
    peer: Peer,
    attached: Attached,
    welcome: Welcome,
    isReplaced: boolean,
  ): void {
    this.#stopAway();
    this.#attachedMs = this.#options.clock.monotonicMs();
    this.#owner.onAttached(peer, attached, welcome, isReplaced);
    this.#options.events.emit({ type: "up" });
    this.#first.resolve();
  }

  /** The connection, if there was one, is over. */
  #lose(): void {
    const wasAttached = this.#attaching.end();
    this.#stream?.close();
    this.#stream = this.#peer = null;
    if (!wasAttached) return;
    this.#owner.onDetached();
    const sinceMs = this.#options.clock.monotonicMs();
    this.#retries.lost(this.#attachedMs, sinceMs);
    if (!this.#ending.signal.aborted) this.#watchAway(sinceMs);
  }

  #watchAway(sinceMs: number): void {
    this.#awayTimer = this.#options.clock.setTimer(AWAY_TICK_MS, () => {
      this.#watchAway(sinceMs);
      this.#owner.onAway(sinceMs);
    });
  }

  #stopAway(): void {
    this.#awayTimer?.cancel();
    this.#awayTimer = null;
  }

  #pause(): Promise<void> {
    const retryInMs = this.#retries.nextMs();
    const reason = this.#reason?.message ?? "the connection was closed";
    this.#options.events.emit({ type: "down", reason, retryInMs });
    return this.#retries.pause(retryInMs, this.#ending.signal);
  }

  #fail(error: MomError): void {
    this.#stopAway();
    this.#ending.abort();
    this.#options.events.emit({ type: "down", reason: error.message });
    this.#first.reject(error);
    this.#owner.onFailed(error);
  }
}
