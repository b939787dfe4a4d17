/**
 * Handles of the test's own process at a system of real processes.
 *
 * @module
 */

import { type ConnectOptions, Mom } from "../../mod.ts";
import type { Cluster } from "./cluster.ts";

/** Handles that are closed together. */
export class Guests implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #handles: Mom[] = [];

  /** Dispose before the cluster, or closing waits for who is gone. */
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** A handle at a machine's daemon; `null`: at the broker itself. */
  async connect(
    machine: string | null,
    name?: string,
    options: ConnectOptions = {},
  ): Promise<Mom> {
    const where = machine === null
      ? { broker: this.#cluster.brokerAddress }
      : { daemon: this.#cluster.daemonAddress(machine) };
    const token = await this.#cluster.token(machine ?? undefined);
    const mom = await Mom.connect({ ...where, token, name, ...options });
    this.#handles.push(mom);
    return mom;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#handles.map((mom) => mom.close()));
  }
}
