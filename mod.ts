/**
 * mom: message-oriented middleware. A broker, a daemon on each machine, and
 * `Mom`, an app's handle.
 *
 * @example Publish and receive, all in one process
 * ```ts
 * import { Broker, Daemon, Mom } from "./mod.ts";
 *
 * await using broker = await Broker.start({ port: 0, data: ":memory:" });
 * await using daemon = await Daemon.start({
 *   broker: broker.address,
 *   listen: { port: 0 },
 *   data: ":memory:",
 *   machine: "north",
 * });
 * await using ana = await Mom.connect({ daemon: daemon.address, name: "ana" });
 * await using ben = await Mom.connect({ daemon: daemon.address, name: "ben" });
 *
 * await ben.subscribe("museum/doors/+");
 * await ana.publish("museum/doors/1", "open");
 * const message = await ben.receive({ timeoutMs: 5_000 });
 * if (message?.value !== "open" || message.sender !== "ana@north") throw message;
 * ```
 *
 * @module
 */

export { Broker } from "./broker/broker.ts";
export { Daemon } from "./daemon/daemon.ts";
export { Mom, topic, TypedTopic } from "./daemon/client.ts";
export { ERRORS, MomError } from "./protocol/errors.ts";

export type {
  BrokerOptions,
  KvOpener,
  RetentionOptions,
} from "./broker/options.ts";
export type {
  ConnectOptions,
  Headers,
  HeaderValue,
  Message,
  MomEvent,
  PublishOptions,
  Receipt,
  ReceiveManyOptions,
  ReceiveOptions,
  SchemaIssue,
  SchemaResult,
  StandardSchema,
  SubscribeOptions,
} from "./daemon/client.ts";
export type { DaemonEvent } from "./daemon/daemon_events.ts";
export type { DaemonOptions } from "./daemon/options.ts";
export type {
  Address,
  AddressLike,
  TcpAddress,
  UnixAddress,
} from "./protocol/address.ts";
export type {
  ByteListener,
  ByteStream,
  Dialer,
} from "./protocol/byte_stream.ts";
export type { Clock, Entropy, Timer } from "./protocol/clock.ts";
export type { ErrorCode } from "./protocol/errors.ts";
export type { BackupReport } from "./broker/broker.ts";
export type { PurgeReport, PurgeWish } from "./broker/core/purging.ts";
export type { RetentionLimits } from "./broker/core/retention.ts";
export type { LogFields, Logger } from "./program/log.ts";
export type {
  BoxStatus,
  DeadLetterStatus,
  DeliveryCounts,
  LinkStatus,
  OmittedRows,
  PublishCounts,
  RecoveryStatus,
  SessionStatus,
  StatusQuery,
  StatusReport,
  StatusTotals,
  SubscriptionStatus,
  TopicStatus,
} from "./program/status.ts";
