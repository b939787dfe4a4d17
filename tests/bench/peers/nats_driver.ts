/**
 * NATS core: nothing is acknowledged; a flush tells that the server has read.
 *
 * @module
 */

import { loadNats, type NatsConnection } from "../../../deps/bench/nats.ts";
import type {
  Acknowledged,
  BenchConnection,
  ConnectionSettings,
} from "../connection.ts";

/** Opens a connection. */
export async function connectNats(
  settings: ConnectionSettings,
): Promise<BenchConnection> {
  const { connect } = await loadNats();
  return new NatsCore(
    await connect({
      servers: settings.address,
      noAsyncTraces: true,
      reconnect: false,
    }),
  );
}

class NatsCore implements BenchConnection {
  readonly window = 10_000;
  onAcknowledged: Acknowledged = () => {};
  readonly #nats: NatsConnection;
  #unconfirmed = 0;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
  }

  bodyBytes(encodedBytes: number): number {
    return encodedBytes;
  }

  publish(topic: string, body: Uint8Array): void {
    this.#nats.publish(topic, body);
    this.#unconfirmed++;
  }

  confirmAll(): void {
    const count = this.#unconfirmed;
    this.#unconfirmed = 0;
    this.#nats.flush().then(
      () => this.onAcknowledged(count),
      (error) => this.onAcknowledged(count, error),
    );
  }

  /** Nothing waits for who is away. */
  async reserve(): Promise<void> {
    await this.#nats.flush();
  }

  async take(
    topic: string,
    _isBulk: boolean,
    onBody: (body: Uint8Array) => void,
  ): Promise<void> {
    this.#nats.subscribe(topic, {
      callback: (error, message) => {
        if (error !== null) throw error;
        onBody(message.data);
      },
    });
    await this.#nats.flush();
  }

  async close(): Promise<void> {
    await this.#nats.close();
  }
}
