/**
 * The connections of apps: each is let in, or not, then served until it ends.
 *
 * @module
 */

import type { ByteListener } from "../protocol/byte_stream.ts";
import type { Clock, Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import type { Hello } from "../protocol/messages.ts";
import { userOf } from "../protocol/names.ts";
import type { Peer, PeerHandlers } from "../protocol/peer.ts";
import { PeerServer } from "../protocol/peer_server.ts";
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
  readonly #server: PeerServer;
  /** Since when each has been served, on the monotonic clock. */
  readonly #sinceMs = new Map<Peer, number>();

  constructor(options: AppSessionsOptions) {
    this.#options = options;
    this.#server = new PeerServer({
      ...options,
      admit: (hello) => this.#admit(hello),
      handlers: (peer) => this.#open(peer),
      onDefect: (error) => this.#defect(error),
    });
  }

  /** Begins to let apps in. */
  start(): void {
    this.#server.start();
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
    this.#server.close();
    const peers = [...this.#sinceMs.keys()];
    const reason = "the daemon stops";
    for (const peer of peers) peer.send({ type: "GOAWAY", reason, ms: 0 });
    await Promise.all(peers.map((peer) => peer.close()));
  }

  /** Resolves when no connection is served and no timer runs. */
  idle(): Promise<void> {
    return this.#server.idle();
  }

  #defect(error: unknown): void {
    this.#options.logger.error("defect", { error });
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

  #open(peer: Peer): PeerHandlers {
    const { clock, commits, core } = this.#options;
    this.#sinceMs.set(peer, clock.monotonicMs());
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
