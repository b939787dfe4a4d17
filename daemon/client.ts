/**
 * The face of the client: a handle on a user, for apps.
 *
 * @module
 */

export { Mom } from "./client/mom.ts";
export { topic, TypedTopic } from "./client/typed_topic.ts";
export type { MomEvent } from "./client/events.ts";
export type { Headers, HeaderValue, Message } from "./client/message.ts";
export type {
  ConnectOptions,
  PublishOptions,
  ReceiveManyOptions,
  ReceiveOptions,
  SubscribeOptions,
} from "./client/options.ts";
export type { Receipt } from "./client/publishing/receipts.ts";
export type {
  SchemaIssue,
  SchemaResult,
  StandardSchema,
} from "./client/typed_topic.ts";
