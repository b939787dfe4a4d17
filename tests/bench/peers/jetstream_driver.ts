/**
 * JetStream with a file store. A publish is acknowledged when the server has
 * written it to the system, without a sync; a consumer acknowledges each message.
 * `raw` counts the acknowledgements on one inbox, where `publish` of the client
 * makes a request of each message.
 *
 * @module
 */

import {
  type JetStreamModule,
  loadJetStream,
  loadNats,
  type NatsConnection,
} from "../../../deps/bench/nats.ts";
import type {
  Acknowledged,
  BenchConnection,
  ConnectionSettings,
} from "../connection.ts";

const STREAM = "bench";
const SUBJECTS = ["bench", "bench.>"];
const UNACKNOWLEDGED_MAX = 100_000;
const PULLED_AT_ONCE = 10_000;

/** `js.publish` for each message. */
export async function connectJetStream(
  settings: ConnectionSettings,
): Promise<BenchConnection> {
  const { nats, module } = await open(settings);
  const stream = module.jetstream(nats);
  const send: Send = (topic, body, acknowledged) => {
    stream.publish(topic, body).then(
      () => acknowledged(1),
      (error) => acknowledged(1, error),
    );
  };
  return new JetStream(1_000, send, nats, module, settings.name);
}

/** Acknowledgements counted on one inbox. */
export async function connectRawJetStream(
  settings: ConnectionSettings,
): Promise<BenchConnection> {
  const { nats, module } = await open(settings);
  const reply = (await loadNats()).createInbox();
  let told: Acknowledged = () => {};
  nats.subscribe(reply, {
    callback: (_, { data }) => told(1, refusalIn(data)),
  });
  const send: Send = (topic, body, acknowledged) => {
    told = acknowledged;
    nats.publish(topic, body, { reply });
  };
  return new JetStream(5_000, send, nats, module, settings.name);
}

type Send = (
  topic: string,
  body: Uint8Array,
  acknowledged: Acknowledged,
) => void;

/** `{"error":…` or `{"stream":…`. */
function refusalIn(data: Uint8Array): Error | undefined {
  if (data[2] === "s".charCodeAt(0)) return undefined;
  return new Error(`JetStream answers ${new TextDecoder().decode(data)}`);
}

async function open(
  { address }: ConnectionSettings,
): Promise<{ nats: NatsConnection; module: JetStreamModule }> {
  const { connect } = await loadNats();
  const nats = await connect({
    servers: address,
    noAsyncTraces: true,
    reconnect: false,
  });
  const module = await loadJetStream();
  const manager = await module.jetstreamManager(nats);
  await manager.streams.add({
    name: STREAM,
    subjects: SUBJECTS,
    storage: "file",
  });
  return { nats, module };
}

class JetStream implements BenchConnection {
  readonly window: number;
  onAcknowledged: Acknowledged = () => {};
  readonly #send: Send;
  readonly #nats: NatsConnection;
  readonly #module: JetStreamModule;
  readonly #name: string;
  readonly #onSent: Acknowledged = (count, error) =>
    this.onAcknowledged(count, error);

  constructor(
    window: number,
    send: Send,
    nats: NatsConnection,
    module: JetStreamModule,
    name: string,
  ) {
    this.window = window;
    this.#send = send;
    this.#nats = nats;
    this.#module = module;
    this.#name = name;
  }

  bodyBytes(encodedBytes: number): number {
    return encodedBytes;
  }

  publish(topic: string, body: Uint8Array): void {
    this.#send(topic, body, this.#onSent);
  }

  async reserve(topic: string): Promise<void> {
    const manager = await this.#module.jetstreamManager(this.#nats);
    await manager.consumers.add(STREAM, {
      durable_name: this.#name,
      filter_subject: topic,
      ack_policy: "explicit",
      max_ack_pending: UNACKNOWLEDGED_MAX,
    });
  }

  async take(
    topic: string,
    _isBulk: boolean,
    onBody: (body: Uint8Array) => void,
  ): Promise<void> {
    await this.reserve(topic);
    const { consumers } = this.#module.jetstream(this.#nats);
    const consumer = await consumers.get(STREAM, this.#name);
    await consumer.consume({
      max_messages: PULLED_AT_ONCE,
      callback: (message) => {
        message.ack();
        onBody(message.data);
      },
    });
  }

  async close(): Promise<void> {
    await this.#nats.close();
  }
}
