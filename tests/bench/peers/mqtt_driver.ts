/**
 * MQTT with quality 0 (sent at most once) or 1 (acknowledged, both ways).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { loadMqtt, type MqttClient } from "../../../deps/bench/mqtt.ts";
import type {
  Acknowledged,
  BenchConnection,
  ConnectionSettings,
} from "../connection.ts";

type Quality = 0 | 1;

/** Longer lines of unwritten messages make the client slower. */
const WINDOWS = [100, 1_000] as const;

/** Opens a connection with quality 0. */
export async function connectMqtt0(
  settings: ConnectionSettings,
): Promise<BenchConnection> {
  return await connectMqtt(settings, 0);
}

/** Opens a connection with quality 1. */
export async function connectMqtt1(
  settings: ConnectionSettings,
): Promise<BenchConnection> {
  return await connectMqtt(settings, 1);
}

async function connectMqtt(
  { name, address }: ConnectionSettings,
  quality: Quality,
): Promise<BenchConnection> {
  const { connect } = await loadMqtt();
  const client = connect(`mqtt://${address}`, {
    clientId: name,
    clean: quality === 0,
    reconnectPeriod: 0,
  });
  // A session's messages come right after the greeting.
  const connection = new MqttConnection(client, quality);
  await new Promise<void>((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
  });
  return connection;
}

class MqttConnection implements BenchConnection {
  readonly window: number;
  onAcknowledged: Acknowledged = () => {};
  readonly #client: MqttClient;
  readonly #quality: Quality;
  readonly #onPublished = (error?: Error | null) =>
    this.onAcknowledged(1, error ?? undefined);
  #early: Uint8Array[] = [];
  #onBody = (body: Uint8Array): void => void this.#early.push(body);

  constructor(client: MqttClient, quality: Quality) {
    this.window = WINDOWS[quality];
    this.#client = client;
    this.#quality = quality;
    client.on("message", (_, body) => this.#onBody(body));
  }

  bodyBytes(encodedBytes: number): number {
    return encodedBytes;
  }

  publish(topic: string, body: Uint8Array<ArrayBuffer>): void {
    const view = Buffer.from(body.buffer, body.byteOffset, body.length);
    const options = { qos: this.#quality };
    this.#client.publish(topic, view, options, this.#onPublished);
  }

  async reserve(topic: string): Promise<void> {
    await this.#client.subscribeAsync(topic, { qos: this.#quality });
  }

  async take(
    topic: string,
    _isBulk: boolean,
    onBody: (body: Uint8Array) => void,
  ): Promise<void> {
    for (const body of this.#early.splice(0)) onBody(body);
    this.#onBody = onBody;
    await this.reserve(topic);
  }

  async close(): Promise<void> {
    await this.#client.endAsync();
  }
}
