/**
 * A broker and a daemon in memory, to be attacked, and what has to hold afterwards.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Mom } from "../../daemon/client.ts";
import { Daemon } from "../../daemon/daemon.ts";
import { findWrongSums } from "../../program/status.ts";
import { silentLogger } from "../../program/log.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { eventually } from "../helpers/eventually.ts";
import { RawClient } from "./raw_client.ts";

/** Whom an attack is aimed at. */
export type Victim = "broker" | "daemon";

const ADDRESSES = {
  broker: { hostname: "127.0.0.1", port: 7000 },
  daemon: { hostname: "127.0.0.1", port: 7001 },
} as const;

/** Both, linked. */
export class Stage implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  /** Errors that nobody expects: defects, a store that failed. */
  readonly defects: unknown[] = [];
  broker!: Broker;
  daemon!: Daemon;
  #pairs = 0;

  private constructor() {}

  /** Starts both. */
  static async open(): Promise<Stage> {
    const stage = new Stage();
    const { network } = stage;
    const logger = {
      ...silentLogger,
      error: (event: string, fields?: unknown) =>
        void stage.defects.push({ event, fields }),
    };
    const common = { data: ":memory:", insecureNoToken: true, logger };
    stage.broker = await Broker.start({
      ...common,
      listener: network.listen(ADDRESSES.broker),
    });
    stage.daemon = await Daemon.start({
      ...common,
      machine: "north",
      broker: ADDRESSES.broker,
      listen: ADDRESSES.daemon,
      listener: network.listen(ADDRESSES.daemon),
      dialer: network,
    });
    return stage;
  }

  /** A connection of a stranger. */
  async dial(victim: Victim): Promise<RawClient> {
    const { hostname, port } = ADDRESSES[victim];
    return new RawClient(await this.network.dial(`${hostname}:${port}`));
  }

  /** A handle that means well. */
  async connect(victim: Victim, name?: string): Promise<Mom> {
    return await Mom.connect({
      [victim]: ADDRESSES[victim],
      name,
      dialer: this.network,
    });
  }

  /** Nothing broke, the sums hold, and two apps reach each other as ever. */
  async check(): Promise<void> {
    assert.deepEqual(this.defects, []);
    await eventually(
      "the link",
      () => this.daemon.status().link?.state === "up",
    );
    await using reader = await this.connect("daemon");
    await using writer = await this.connect("broker");
    const topic = `healthy/${++this.#pairs}`;
    await reader.subscribe(topic);
    for (let n = 0; n < 5; n++) await writer.publish(topic, n);
    for (let n = 0; n < 5; n++) {
      const message = await reader.receive({ timeoutMs: 10_000 });
      assert.equal(message?.value, n);
    }
    assert.deepEqual(findWrongSums(this.broker.status()), []);
    assert.deepEqual(this.defects, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon.stop();
    await this.broker.stop();
  }
}
