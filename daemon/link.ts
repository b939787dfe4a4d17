/**
 * The connection to the broker: made, kept, and made again with growing, random
 * waits. Apps stay connected to the daemon throughout.
 *
 * @module
 */

import type { Dialer } from "../protocol/byte_stream.ts";
import type { Clock, Entropy, Timer } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { connectPeer } from "../protocol/handshake.ts";
import { Heartbeats } from "../protocol/heartbeats.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Message, Welcome } from "../protocol/messages.ts";
import type { Peer } from "../protocol/peer.ts";
import type { Logger } from "../program/log.ts";
import type { LinkStatus } from "../program/status.ts";
import { dialInTime } from "../transport/dial_in_time.ts";

/** What a link stands on. */
export interface LinkOptions {
  readonly dialer: Dialer;
  /** The broker's address. */
  readonly address: string;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Silence after which a sign of life is asked for. */
  readonly heartbeatMs: number;
  readonly logger: Logger;
  readonly machine: string;
  readonly machineKey: Uint8Array;
  /** Credit for all deliveries together. */
  readonly credit: number;
  /** The broker's token; asked for at each try, as the broker may have made it meanwhile. */
  token(): Promise<string | null>;
  onUp(peer: Peer, welcome: Welcome): void;
  onMessage(message: Message): void;
  onDown(): void;
}

/** The link of one daemon. */
export class Link {
  #options: LinkOptions;
  #heartbeats: Heartbeats;
  #peer: Peer | null = null;
  #abort = new AbortController();
  #running: Promise<void> | null = null;
  #firstTry = Promise.withResolvers<void>();
  #state: LinkStatus["state"] = "connecting";
  #sinceMs: number;
  #reason: string | undefined;
  #tries = 0;
  /** What the stream had taken when it was looked at, and since when it has not taken more. */
  #taken = { bytes: 0, sinceMs: 0 };
  #pause: { timer: Timer; resolve: () => void } | null = null;

  constructor(options: LinkOptions) {
    const { clock, heartbeatMs } = options;
    this.#options = options;
    this.#heartbeats = new Heartbeats(
      clock,
      heartbeatMs,
      LIMITS.heartbeatsMissedByClient,
    );
    this.#sinceMs = clock.monotonicMs();
  }

  /** Begins; resolves after the first try, whatever came of it. */
  async start(): Promise<void> {
    this.#running = this.#run();
    await this.#firstTry.promise;
  }

  /** Ends the link for good. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#pause?.timer.cancel();
    this.#pause?.resolve();
    await this.#peer?.close();
    await this.#running;
  }

  /** Ends the connection; the next one is made after a while. */
  fail(error: MomError): void {
    this.#peer?.fail(error);
  }

  /** Ends the connection at once; nothing more goes out. */
  abort(error: MomError): void {
    this.#peer?.abort(error);
  }

  /**
   * To be called a few times a second. A broker that says it is alive, and takes
   * nothing of all that waits for it, is given up like a silent one.
   */
  look(): void {
    const peer = this.#peer;
    if (peer === null) return;
    const { clock, heartbeatMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const { takenBytes } = peer;
    const isRead = peer.bufferedBytes <= LIMITS.unreadBytes;
    if (isRead || takenBytes !== this.#taken.bytes) {
      this.#taken = { bytes: takenBytes, sinceMs: nowMs };
    }
    if (
      nowMs - this.#taken.sinceMs <
        heartbeatMs * LIMITS.heartbeatsMissedByClient
    ) return;
    this.abort(
      new MomError(
        "broker_unavailable",
        `Connection to "${this.#options.address}" given up: it leaves ${peer.bufferedBytes} bytes unread`,
      ),
    );
  }

  /** For `status()`. */
  status(): LinkStatus {
    const sinceMs = Math.max(
      0,
      this.#options.clock.monotonicMs() - this.#sinceMs,
    );
    const status: LinkStatus = {
      state: this.#state,
      broker: this.#options.address,
      sinceMs,
    };
    if (this.#reason !== undefined) status.reason = this.#reason;
    return status;
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#connect();
      } catch (error) {
        this.#failed(error);
      }
      this.#firstTry.resolve();
      if (!this.#abort.signal.aborted) await this.#wait();
    }
  }

  /** One connection, from the first byte to its end. */
  async #connect(): Promise<void> {
    const { address, clock, entropy, dialer, logger } = this.#options;
    this.#set("connecting");
    const token = await this.#options.token();
    const stream = await dialInTime(dialer, address, {
      clock,
      signal: this.#abort.signal,
      code: "broker_unavailable",
    });
    const { peer, done } = await connectPeer(stream, {
      clock,
      entropy,
      heartbeats: this.#heartbeats,
      token,
      hello: {
        role: "daemon",
        machine: this.#options.machine,
        machineKey: this.#options.machineKey,
        credit: this.#options.credit,
      },
      handlers: (peer, welcome) => {
        this.#peer = peer;
        this.#reason = undefined;
        this.#set("up");
        logger.info("link_up", { broker: address, epoch: welcome.epoch });
        this.#options.onUp(peer, welcome);
        return {
          onMessage: (message) => this.#options.onMessage(message),
          onClose: (reason) => this.#down(reason),
          onDefect: (error) => logger.error("defect", { error }),
        };
      },
    });
    this.#firstTry.resolve();
    if (this.#abort.signal.aborted) await peer.close();
    await done;
  }

  #down(reason: MomError | null): void {
    this.#peer = null;
    // What breaks again and again right after WELCOME is a failed try, too, and so
    // is what ends with something that makes no sense.
    const upMs = this.#options.clock.monotonicMs() - this.#sinceMs;
    const isNonsense = reason?.code === "bad_frame" ||
      reason?.code === "bad_message";
    if (upMs >= LIMITS.reconnectSettledMs && !isNonsense) this.#tries = 0;
    this.#reason = reason === null
      ? "closed"
      : `${reason.code}: ${reason.message}`;
    this.#set("down");
    this.#options.logger.warn("link_down", {
      broker: this.#options.address,
      reason: this.#reason,
    });
    this.#options.onDown();
  }

  #failed(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    const reason = error instanceof MomError
      ? `${error.code}: ${error.message}`
      : String(error);
    // Once is enough: the same failure comes again with each try.
    if (reason !== this.#reason) {
      this.#options.logger.warn("link_failed", {
        broker: this.#options.address,
        reason,
      });
    }
    this.#reason = reason;
    this.#set("down");
  }

  #set(state: LinkStatus["state"]): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#sinceMs = this.#options.clock.monotonicMs();
  }

  /** Full jitter: a fleet does not come back in step. */
  async #wait(): Promise<void> {
    const { clock, entropy } = this.#options;
    const most = Math.min(
      LIMITS.reconnectMaxMs,
      LIMITS.reconnectMinMs * 2 ** this.#tries++,
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.setTimer(entropy.fraction() * most, resolve);
    this.#pause = { timer, resolve };
    await promise;
    this.#pause = null;
  }
}
