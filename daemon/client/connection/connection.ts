/**
 * The way to the daemon (or, for a direct handle, the broker): connects, opens
 * the conversation, attaches the user, and does all of that again when it is
 * lost, after a random part of a growing wait.
 *
 * @module
 */

import type { AddressLike } from "../../../protocol/address.ts";
import { formatAddress } from "../../../protocol/address.ts";
import type { ByteStream, Dialer } from "../../../protocol/byte_stream.ts";
import type { Clock, Entropy, Timer } from "../../../protocol/clock.ts";
import { type ErrorCode, MomError } from "../../../protocol/errors.ts";
import { asMomError, connectPeer } from "../../../protocol/handshake.ts";
import { Heartbeats } from "../../../protocol/heartbeats.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import type {
  Attached,
  ErrorMessage,
  Message,
  Welcome,
} from "../../../protocol/messages.ts";
import type { Peer } from "../../../protocol/peer.ts";
import { findToken } from "../../../program/tokens.ts";
import type { EventSource } from "../events.ts";

/** The number of the user on its connection (PROTOCOL 5.1). */
export const USER_REF = 1;

/** What a connection stands on. */
export interface ConnectionOptions {
  readonly address: AddressLike;
  /** `null`: looked up before each attempt. */
  readonly token: string | null;
  readonly name: string;
  readonly isNamed: boolean;
  /** The handle's id. */
  readonly handle: Uint8Array;
  readonly reconnectTimeoutMs: number;
  /** Silence after which a sign of life is asked for. */
  readonly heartbeatMs: number;
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly events: EventSource;
  /** Numbers of requests, rising. */
  nextRequest(): number;
}

/** Whom a connection tells. */
export interface ConnectionOwner {
  /** Asks what ATTACH has to say of deliveries. */
  onAttaching(): { credit: number; known: number[] };
  /**
   * The user is attached: a new flow begins.
   *
   * @param isReplaced The other side's store is another one than the last time.
   */
  onAttached(
    peer: Peer,
    attached: Attached,
    welcome: Welcome,
    isReplaced: boolean,
  ): void;
  /** A message of the conversation. */
  onMessage(message: Message): void;
  /** The connection is lost; another attempt follows. */
  onDetached(): void;
  /** Called now and then while there is no connection. */
  onAway(sinceMs: number): void;
  /** The handle is at its end; there will be no other attempt. */
  onFailed(error: MomError): void;
}

/** The user is gone, or somebody else's: the handle is at its end. */
const FINAL_LATER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unauthorized",
  "protocol_version",
  "name_in_use",
  "user_expired",
]);
/** At the first attempt, what the other side cannot do it will not learn. */
const FINAL_AT_FIRST: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...FINAL_LATER,
  "name_invalid",
  "bad_frame",
  "bad_message",
  "unsupported",
  "option_invalid",
]);
/** How often waits are looked at while there is no connection. */
const AWAY_TICK_MS = 50;

/** The connection of one handle, over all attempts. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #owner: ConnectionOwner;
  readonly #heartbeats: Heartbeats;
  readonly #ending = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  #incarnation: Uint8Array;
  #isKnown = false;
  /** Which store the user was attached to last. */
  #storeKey = "";
  #stream: ByteStream | null = null;
  #peer: Peer | null = null;
  #attempts = 0;
  #attachRequest = 0;
  #attachTimer: Timer | null = null;
  #isAttached = false;
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
    this.#incarnation = options.entropy.bytes(16);
  }

  /** The user's identity (PROTOCOL 5.2); `null` before the first ATTACHED. */
  get incarnation(): Uint8Array | null {
    return this.#isKnown ? this.#incarnation : null;
  }

  /** Whether the user is attached right now. */
  get isAttached(): boolean {
    return this.#isAttached;
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
      if (this.#reason !== null && this.#isFinal(this.#reason)) {
        return this.#fail(this.#reason);
      }
      await this.#pause();
    }
    this.#stopAway();
  }

  /** One connection, from dialling to its end. */
  async #converse(): Promise<void> {
    const { address, clock, entropy } = this.#options;
    const token = this.#options.token ?? await findToken(address);
    this.#stream = await this.#dial();
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

  async #dial(): Promise<ByteStream> {
    const { address, clock, dialer } = this.#options;
    const text = formatAddress(address);
    const giveUp = new AbortController();
    const abort = () => giveUp.abort(this.#ending.signal.reason);
    this.#ending.signal.addEventListener("abort", abort, { once: true });
    const timer = clock.setTimer(LIMITS.helloMs, () =>
      giveUp.abort(
        new MomError(
          "daemon_unavailable",
          `Cannot connect to "${text}": no answer within ${LIMITS.helloMs} ms`,
        ),
      ));
    try {
      return await dialer.dial(text, { signal: giveUp.signal });
    } finally {
      timer.cancel();
      this.#ending.signal.removeEventListener("abort", abort);
    }
  }

  /** WELCOME: attaches. */
  #open(peer: Peer): void {
    const { clock } = this.#options;
    this.#peer = peer;
    if (this.#ending.signal.aborted) return peer.abort();
    this.#attachTimer = clock.setTimer(LIMITS.helloMs, () => {
      const error = new MomError(
        "daemon_unavailable",
        `Cannot attach: no answer of ${peer.remote} within ${LIMITS.helloMs} ms`,
      );
      peer.abort(error);
    });
    this.#attach(peer, !this.#isKnown);
  }

  #attach(peer: Peer, create: boolean): void {
    const { name, isNamed, handle, nextRequest } = this.#options;
    this.#attachRequest = nextRequest();
    peer.send({
      type: "ATTACH",
      request: this.#attachRequest,
      ref: USER_REF,
      name,
      named: isNamed,
      incarnation: this.#incarnation,
      create,
      handle,
      ...this.#owner.onAttaching(),
    });
  }

  #onMessage(peer: Peer, welcome: Welcome, message: Message): void {
    if (message.type === "ERROR" && message.request === null) {
      // It tells why the connection ends.
      this.#reason = asMomError(message);
    } else if (this.#isAttached) this.#owner.onMessage(message);
    else if (!("request" in message)) return; // The flow before (PROTOCOL 5.5).
    else if (message.request !== this.#attachRequest) return;
    else if (message.type === "ATTACHED") this.#begin(peer, message, welcome);
    else if (message.type === "ERROR") {
      this.#attachRefused(peer, message, welcome);
    }
  }

  /** A store that was replaced does not know the user, or knows it as it was before. */
  #attachRefused(peer: Peer, error: ErrorMessage, welcome: Welcome): void {
    const isNews = error.code === "user_expired" && this.#isKnown &&
      keyOf(welcome) !== this.#storeKey;
    if (!isNews) return peer.abort(asMomError(error));
    this.#isKnown = false;
    this.#attach(peer, true);
  }

  #begin(peer: Peer, attached: Attached, welcome: Welcome): void {
    this.#attachTimer?.cancel();
    this.#stopAway();
    const key = keyOf(welcome);
    const isReplaced = this.#storeKey !== "" && this.#storeKey !== key;
    this.#storeKey = key;
    this.#incarnation = attached.incarnation.slice();
    this.#isKnown = this.#isAttached = true;
    this.#attachedMs = this.#options.clock.monotonicMs();
    this.#owner.onAttached(peer, attached, welcome, isReplaced);
    this.#options.events.emit({ type: "up" });
    this.#first.resolve();
  }

  /** The connection, if there was one, is over. */
  #lose(): void {
    this.#attachTimer?.cancel();
    this.#stream?.close();
    this.#stream = this.#peer = null;
    if (!this.#isAttached) return;
    this.#isAttached = false;
    this.#owner.onDetached();
    const sinceMs = this.#options.clock.monotonicMs();
    // What breaks again and again once it is attached is a failed try, too.
    if (sinceMs - this.#attachedMs >= LIMITS.reconnectSettledMs) {
      this.#attempts = 0;
    }
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

  /** Full jitter: many handles that lost the same daemon do not come back at once. */
  #pause(): Promise<void> {
    const { clock, entropy, events, reconnectTimeoutMs } = this.#options;
    const longestMs = Math.min(
      LIMITS.reconnectMinMs * 2 ** this.#attempts++,
      LIMITS.reconnectMaxMs,
      // A call made while the daemon is back already shall see the next attempt.
      Math.max(LIMITS.reconnectMinMs, reconnectTimeoutMs / 2),
    );
    const retryInMs = Math.round(entropy.fraction() * longestMs);
    const reason = this.#reason?.message ?? "the connection was closed";
    events.emit({ type: "down", reason, retryInMs });
    const { signal } = this.#ending;
    return new Promise((resolve) => {
      const go = () => {
        timer.cancel();
        signal.removeEventListener("abort", go);
        resolve();
      };
      const timer = clock.setTimer(retryInMs, go);
      signal.addEventListener("abort", go, { once: true });
    });
  }

  #isFinal(reason: MomError): boolean {
    if (this.#isKnown) return FINAL_LATER.has(reason.code);
    return FINAL_AT_FIRST.has(reason.code) ||
      reason.cause instanceof Deno.errors.NotCapable;
  }

  #fail(error: MomError): void {
    this.#stopAway();
    this.#ending.abort();
    this.#options.events.emit({ type: "down", reason: error.message });
    this.#first.reject(error);
    this.#owner.onFailed(error);
  }
}

/** Tells the store of a daemon or broker from another. */
function keyOf({ storeId, epoch }: Welcome): string {
  return `${storeId.toHex()} ${epoch}`;
}

function toMomError(error: unknown, address: AddressLike): MomError {
  if (error instanceof MomError) return error;
  if (!(error instanceof Error)) throw error;
  const cause = error.cause instanceof Error ? error.cause : error;
  return new MomError(
    "daemon_unavailable",
    `Cannot connect to "${formatAddress(address)}": ${cause.message}`,
    { cause },
  );
}
