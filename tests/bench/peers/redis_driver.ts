/**
 * Redis streams: XADD for each message, in one pipeline; XREADGROUP reads many
 * and XACK acknowledges all of them at once.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { loadRedis, type RedisClient } from "../../../deps/bench/redis.ts";
import type {
  Acknowledged,
  BenchConnection,
  ConnectionSettings,
} from "../connection.ts";

const READ_AT_ONCE = "1000";

/** `[[stream, [[id, [field, body]], …]]]`, or nothing within the time. */
type ReadReply = [[Buffer, [Buffer, [Buffer, Buffer]][]]] | null;

/** Opens a connection. */
export async function connectRedis(
  settings: ConnectionSettings,
): Promise<BenchConnection> {
  const { createClient, RESP_TYPES } = await loadRedis();
  const client = createClient({ url: `redis://${settings.address}`, RESP: 2 });
  client.on("error", (error) => {
    throw error;
  });
  await client.connect();
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return new RedisConnection(client, binary, settings.name);
}

class RedisConnection implements BenchConnection {
  readonly window = 1_000;
  onAcknowledged: Acknowledged = () => {};
  readonly #client: RedisClient;
  readonly #binary: RedisClient;
  readonly #group: string;
  readonly #onReply = () => this.onAcknowledged(1);
  readonly #onFailed = (error: unknown) => this.onAcknowledged(1, error);
  #isClosed = false;

  constructor(client: RedisClient, binary: RedisClient, group: string) {
    this.#client = client;
    this.#binary = binary;
    this.#group = group;
  }

  bodyBytes(encodedBytes: number): number {
    return encodedBytes;
  }

  publish(topic: string, body: Uint8Array<ArrayBuffer>): void {
    // The client takes a view of node's for what it is, any other for a list.
    const view = Buffer.from(body.buffer, body.byteOffset, body.length);
    this.#client.sendCommand(["XADD", topic, "*", "b", view])
      .then(this.#onReply, this.#onFailed);
  }

  async reserve(topic: string): Promise<void> {
    const words = ["XGROUP", "CREATE", topic, this.#group, "0", "MKSTREAM"];
    try {
      await this.#client.sendCommand(words);
    } catch (error) {
      if (!String(error).includes("BUSYGROUP")) throw error;
    }
  }

  async take(
    topic: string,
    _isBulk: boolean,
    onBody: (body: Uint8Array) => void,
  ): Promise<void> {
    await this.reserve(topic);
    const taking = this.#takeMany(topic, onBody);
    taking.catch((error) => {
      if (!this.#isClosed) throw error;
    });
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#client.destroy();
    return Promise.resolve();
  }

  async #takeMany(
    topic: string,
    onBody: (body: Uint8Array) => void,
  ): Promise<void> {
    const read = ["XREADGROUP", "GROUP", this.#group, "c"];
    read.push("COUNT", READ_AT_ONCE, "BLOCK", "1000", "STREAMS", topic, ">");
    while (!this.#isClosed) {
      const reply = await this.#binary.sendCommand(read) as ReadReply;
      if (reply === null) continue;
      const acknowledge: (string | Buffer)[] = ["XACK", topic, this.#group];
      for (const [id, [, body]] of reply[0][1]) {
        acknowledge.push(id);
        onBody(body);
      }
      await this.#client.sendCommand(acknowledge);
    }
  }
}
