/**
 * The connections of apps: each is let in, or not, then served until it ends.
 *
 * @module
 */

import type { ByteListener, ByteStream } from "../protocol/byte_stream.ts";
import type { Clock, Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { acceptPeer } from "../protocol/handshake.ts";
import { Heartbeats } from "../protocol/heartbeats.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Hello } from "../protocol/messages.ts";
import { userOf } from "../protocol/names.ts";
import type { Peer, PeerHandlers } from "../protocol/peer.ts";
import { Unread } from "../protocol/unread.ts";
import type { Logger } from "../program/log.ts";
import type { SessionStatus } from "../program/status.ts";
import type { Commits } from "./commits.ts";
import type { DaemonCore } from "./core.ts";

/** What sessions stand on. */
export interface AppSessionsOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly commits: Commits;
  readonly core: DaemonCore;
  /** Where apps come from. */
  readonly listener: ByteListener;
  /** What they must have; `null`: everybody is let in. */
  readonly token: string | null;
  readonly machine: string;
  readonly heartbeatMs: number;
  readonly maxMessageBytes: number;
}

/** The sessions of one daemon. */
export class AppSessions {
  readonly #options: AppSessionsOptions;
  readonly #heartbeats: Heartbeats;
  readonly #unread = new Unread();
  /** Not let in yet. */
  readonly #openings = new Set<ByteStream>();
  /** Since when each has been served, on the monotonic clock. */
  readonly #sinceMs = new Map<Peer, number>();
  readonly #tasks = new Set<Promise<void>>();
  #isClosing = false;

  constructor(options: AppSessionsOptions) {
    this.#options = options;
    this.#heartbeats = new Heartbeats(options.clock, options.heartbeatMs);
  }

  /** Begins to let apps in. */
  start(): void {
    this.#watch(this.#accept());
  }

  /** Who is there. */
  status(): SessionStatus[] {
    const { core, clock, machine } = this.#options;
    return [...this.#sinceMs].map(([peer, sinceMs]) => {
      const name = core.nameOf(peer);
      return {
        machine,
        role: "app",
        users: name === null ? [] : [userOf(name, machine)],
        connectedMs: clock.monotonicMs() - sinceMs,
        remote: peer.remote,
      };
    });
  }

  /** Ends all of them with an error. */
  fail(error: MomError): void {
    for (const peer of [...this.#sinceMs.keys()]) peer.fail(error);
  }

  /** Lets nobody in any more; resolves when who is there has said goodbye. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#options.listener.close();
    for (const stream of this.#openings) stream.close();
    const peers = [...this.#sinceMs.keys()];
    const reason = "the daemon stops";
    for (const peer of peers) peer.send({ type: "GOAWAY", reason, ms: 0 });
    await Promise.all(peers.map((peer) => peer.close()));
  }

  /** Resolves when no connection is served and no timer runs. */
  async idle(): Promise<void> {
    await Promise.all([...this.#tasks]);
    this.#heartbeats.stop();
  }

  /** Owns a task until it is over. */
  #watch(task: Promise<void>): void {
    const owned = task
      .catch((error) => this.#defect(error))
      .finally(() => this.#tasks.delete(owned));
    this.#tasks.add(owned);
  }

  #defect(error: unknown): void {
    this.#options.logger.error("defect", { error });
  }

  async #accept(): Promise<void> {
    const { listener } = this.#options;
    for (let stream = await listener.accept(); stream !== null;) {
      if (this.#openings.size >= LIMITS.unwelcomedConnections) {
        // The oldest: who means it is through within milliseconds.
        const [oldest] = this.#openings;
        this.#openings.delete(oldest);
        oldest.close();
      }
      this.#watch(this.#serve(stream));
      stream = await listener.accept();
    }
  }

  async #serve(stream: ByteStream): Promise<void> {
    const { clock, entropy, token, maxMessageBytes } = this.#options;
    this.#openings.add(stream);
    const opened = await acceptPeer(stream, {
      clock,
      entropy,
      heartbeats: this.#heartbeats,
      unread: this.#unread,
      token,
      maxMessageBytes,
      admit: (hello) => this.#admit(hello),
      handlers: (peer) => this.#handlers(peer),
    }).finally(() => this.#openings.delete(stream));
    if (opened === null) return;
    const { peer, done } = opened;
    if (peer.isClosed) return;
    this.#sinceMs.set(peer, clock.monotonicMs());
    if (this.#isClosing) peer.abort();
    await done;
  }

  #admit({ role }: Hello) {
    if (role !== "app") {
      throw new MomError(
        "bad_message",
        `Cannot welcome a ${role}: this is a daemon`,
      );
    }
    const { machine, commits } = this.#options;
    const { id, epoch } = commits.store;
    return { role: "daemon", machine, storeId: id, epoch } as const;
  }

  #handlers(peer: Peer): PeerHandlers {
    const { commits, core } = this.#options;
    return {
      onMessage: (message) => core.onApp(peer, message),
      onClose: () => {
        this.#sinceMs.delete(peer);
        if (!commits.isEnded) core.onAppLost(peer);
      },
      onDrained: () => core.onAppDrained(peer),
      onDefect: (error) => this.#defect(error),
    };
  }
}
