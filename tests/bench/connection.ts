/**
 * What the bench needs of a client, ours or a peer's: each is driven by a file of
 * its own in the way that is fastest for it.
 *
 * @module
 */

/** The clients there are. */
export type DriverName =
  | "mom"
  | "nats-core"
  | "jetstream"
  | "jetstream-raw"
  | "redis"
  | "mosquitto-qos0"
  | "mosquitto-qos1";

/** Where and as whom to connect. */
export interface ConnectionSettings {
  /** Its durable subscription belongs to this name. */
  name: string;
  /** `HOST:PORT` of a server; mom's daemon or broker. */
  address: string;
  /** Mom only: whether the address is the broker's. */
  isDirect?: boolean;
  /** Mom only: publishes are to reach the broker. */
  isBrokerLevel?: boolean;
}

/** Is told what is acknowledged. */
export type Acknowledged = (count: number, error?: unknown) => void;

/** A client's connection. */
export interface BenchConnection {
  /** Unacknowledged messages with which it is fastest. */
  readonly window: number;
  /** Set before the first publish. */
  onAcknowledged: Acknowledged;
  /** Bytes of a body whose encoded value has as many as said. */
  bodyBytes(encodedBytes: number): number;
  /** Sends one message; what it means to be acknowledged is the server's. */
  publish(topic: string, body: Uint8Array<ArrayBuffer>): void;
  /** For clients that hear of no single message: asks whether all are over. */
  confirmAll?(): void;
  /** What is published to the topic from now on waits for this name. */
  reserve(topic: string): Promise<void>;
  /**
   * Begins to take what waits and what comes.
   *
   * @param isBulk Whether many come at once, or one is in flight.
   */
  take(
    topic: string,
    isBulk: boolean,
    onBody: (body: Uint8Array) => void,
  ): Promise<void>;
  close(): Promise<void>;
}

/** Opens a connection. */
export type Driver = (
  settings: ConnectionSettings,
) => Promise<BenchConnection>;
