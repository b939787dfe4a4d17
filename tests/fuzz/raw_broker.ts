/**
 * A broker that greets a daemon as it likes, and then does whatever a test wants.
 *
 * @module
 */

import type { ByteListener } from "../../protocol/byte_stream.ts";
import type { Attach, Welcome } from "../../protocol/messages.ts";
import { RawClient } from "./raw_client.ts";

/** The epoch that it tells if nothing else is said. */
export const RAW_EPOCH = 9;

/** How it is. */
export interface RawBrokerOptions {
  /** What is strange about its WELCOME. */
  readonly welcome?: () => Partial<Welcome>;
  /** What it does with a link. */
  serve(peer: RawClient): Promise<void>;
}

/** One of them. */
export class RawBroker implements AsyncDisposable {
  /** Links that were greeted so far. */
  links = 0;
  readonly #listener: ByteListener;
  readonly #options: RawBrokerOptions;
  readonly #peers = new Set<RawClient>();
  readonly #failures: unknown[] = [];
  readonly #running: Promise<void>;

  constructor(listener: ByteListener, options: RawBrokerOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#running = this.#run();
  }

  /** Where it is. */
  get address(): string {
    return this.#listener.address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const peer of this.#peers) await peer.close();
    await this.#running;
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  async #run(): Promise<void> {
    const serving: Promise<void>[] = [];
    while (true) {
      const stream = await this.#listener.accept();
      if (stream === null) break;
      const peer = new RawClient(stream);
      this.#peers.add(peer);
      const served = this.#serve(peer)
        .catch((error) => void this.#failures.push(error))
        .finally(() => this.#peers.delete(peer));
      serving.push(served);
    }
    await Promise.all(serving);
  }

  async #serve(peer: RawClient): Promise<void> {
    if (await peer.next("HELLO") === null) return;
    this.links++;
    await peer.say({
      type: "WELCOME",
      version: 1,
      software: "hostile",
      role: "broker",
      machine: "north",
      features: ["bundles"],
      maxMessageBytes: 8 * 1024 * 1024,
      heartbeatMs: 10_000,
      storeId: new Uint8Array(16),
      epoch: RAW_EPOCH,
      ...this.#options.welcome?.(),
    });
    await this.#options.serve(peer);
    await peer.close();
  }
}

/** Answers ATTACH as it should be. */
export async function answerAttach(
  peer: RawClient,
  { request, ref, name, incarnation }: Attach,
  epoch: number = RAW_EPOCH,
): Promise<void> {
  const user = `${name}@north`;
  const rest = { request, ref, user, incarnation, suspect: 0, epoch };
  await peer.say({ type: "ATTACHED", ...rest });
}
