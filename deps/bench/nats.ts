/**
 * NATS from JavaScript, core and JetStream: what the bench uses of it.
 *
 * @module
 */

import { loadPackage } from "./load_package.ts";

/** A connection. */
export interface NatsConnection {
  publish(
    subject: string,
    payload: Uint8Array,
    options?: { reply?: string },
  ): void;
  subscribe(
    subject: string,
    options: {
      callback(error: Error | null, message: { data: Uint8Array }): void;
    },
  ): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** `@nats-io/transport-node`. */
export interface NatsModule {
  connect(options: {
    servers: string;
    noAsyncTraces: boolean;
    reconnect: boolean;
  }): Promise<NatsConnection>;
  createInbox(): string;
}

/** A message of a consumer. */
export interface JetStreamMessage {
  data: Uint8Array;
  ack(): void;
}

/** `@nats-io/jetstream`. */
export interface JetStreamModule {
  jetstream(connection: NatsConnection): {
    publish(subject: string, payload: Uint8Array): Promise<unknown>;
    consumers: {
      get(stream: string, consumer: string): Promise<{
        consume(options: {
          max_messages: number;
          callback(message: JetStreamMessage): void;
        }): Promise<unknown>;
      }>;
    };
  };
  jetstreamManager(connection: NatsConnection): Promise<{
    streams: { add(options: Record<string, unknown>): Promise<unknown> };
    consumers: {
      add(stream: string, options: Record<string, unknown>): Promise<unknown>;
    };
  }>;
}

/** Versions, told beside the rates. */
export const NATS_PACKAGE = "npm:@nats-io/transport-node@3.4.0";
/** See {@linkcode NATS_PACKAGE}. */
export const JETSTREAM_PACKAGE = "npm:@nats-io/jetstream@3.4.0";

/** Loads the client of core NATS. */
export const loadNats = (): Promise<NatsModule> => loadPackage(NATS_PACKAGE);

/** Loads the client of JetStream. */
export const loadJetStream = (): Promise<JetStreamModule> =>
  loadPackage(JETSTREAM_PACKAGE);
