/**
 * The connections of daemons, and of apps that come directly.
 *
 * @module
 */

import type { ByteListener } from "../protocol/byte_stream.ts";
import type { Clock, Entropy } from "../protocol/clock.ts";
import type { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { PeerServer } from "../protocol/peer_server.ts";
import type { Logger } from "../program/log.ts";
import type { Store } from "../storage/store.ts";
import { admit, type Connections, openConnection } from "./connection.ts";
import type { Core } from "./core/core.ts";

/** What sessions stand on. */
export interface SessionsOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly store: Store;
  readonly core: Core;
  /** Where daemons and apps come from. */
  readonly listener: ByteListener;
  /** What they must have; `null`: everybody is let in. */
  readonly token: string | null;
  readonly heartbeatMs: number;
  readonly maxMessageBytes: number;
}

/** The sessions of one broker. */
export class Sessions {
  readonly #connections: Connections = new Map();
  readonly #server: PeerServer;

  constructor(options: SessionsOptions) {
    const { store, core, logger } = options;
    const connections = this.#connections;
    const onDefect = (error: unknown) => logger.error("defect", { error });
    this.#server = new PeerServer({
      ...options,
      admit: async (hello) => {
        const machine = await admit(hello, core, connections);
        const { id, epoch } = store;
        return { role: "broker", machine, storeId: id, epoch };
      },
      handlers: (peer, hello) =>
        openConnection({ peer, hello, onDefect }, core, connections),
      onDefect,
    });
  }

  /** Begins to let daemons and apps in. */
  start(): void {
    this.#server.start();
  }

  /** Ends all of them at once: nobody gets another answer. */
  fail(error: MomError): void {
    for (const peer of [...this.#connections.values()]) peer.abort(error);
  }

  /** Lets nobody in any more; who is there stays. */
  close(): void {
    this.#server.close();
  }

  /** Tells who is there that it is about to end. */
  warn(): void {
    const reason = "the broker stops";
    for (const peer of this.#connections.values()) {
      peer.send({ type: "GOAWAY", reason, ms: LIMITS.closeMs });
    }
  }

  /** Resolves when who is there has been sent all that waits for it, and has gone. */
  async end(): Promise<void> {
    const peers = [...this.#connections.values()];
    await Promise.all(peers.map((peer) => peer.close()));
  }

  /** Once closed: resolves when no connection is served and no timer runs. */
  idle(): Promise<void> {
    return this.#server.idle();
  }
}
