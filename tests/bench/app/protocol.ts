/**
 * What an app of the bench is told on stdin and answers on stdout, a line of JSON
 * each. Moments are milliseconds since 1970 with fractions, the same in all
 * processes of a machine.
 *
 * @module
 */

import type { ConnectionSettings, DriverName } from "../connection.ts";

/** Connections of one app: one that writes, one that reads, or many. */
export interface AppSettings {
  driver: DriverName;
  /** Of the app; its writers' names begin with it. */
  name: string;
  /** Of the writers, and of the readers. */
  writer: Omit<ConnectionSettings, "name">;
  reader: Omit<ConnectionSettings, "name">;
}

/** Publish with many in flight, for a time or a number of messages. */
export interface FloodCommand {
  do: "flood";
  topic: string;
  /** Of the encoded value. */
  bytes: number;
  /** As many connections, each in its own order. @default {1} */
  writers?: number;
  /** Topics in turn, below `topic`; 1: `topic` itself. @default {1} */
  topics?: number;
  /** Either of them. */
  seconds?: number;
  count?: number;
  /** In flight of all writers together. @default what suits the client */
  window?: number;
}

/** Messages and the time they took until the last acknowledgement. */
export interface FloodTold {
  count: number;
  startMs: number;
  endMs: number;
}

/** Connect readers and have the topic's messages kept for them, or taken. */
export interface ReadCommand {
  do: "reserve" | "take";
  topic: string;
  /** One for each, `reader0` and so on; whoever was reserved goes on. */
  readers: number;
  /** @default {"reader"} */
  prefix?: string;
}

/** Answer when the readers have that many together, or get nothing more. */
export interface AwaitCommand {
  do: "await";
  count: number;
}

/** What the readers have together, since the app began. */
export interface AwaitTold {
  received: number;
  reordered: number;
  /** When the last came. */
  atMs: number;
}

/** Publish and receive, one message in flight or on a schedule. */
export interface LatencyCommand {
  do: "closed" | "open";
  topic: string;
  bytes: number;
  count: number;
  /** For `open`. @default {2_000} */
  perSecond?: number;
  /** `closed` gives up after so long. */
  secondsMax: number;
}

/** Microseconds, and what did not come in order. */
export interface LatencyTold {
  count: number;
  p50: number;
  p99: number;
  p999: number;
  lost: number;
  reordered: number;
}

/** Time one publish after another, to its acknowledgement. */
export interface StepCommand {
  do: "step";
  topic: string;
  bytes: number;
  seconds: number;
  /** Ends before. @default {Infinity} */
  count?: number;
}

/** Read a topic from its begin, again and again, until told `end-lag`. */
export interface LagCommand {
  do: "lag" | "end-lag";
  topic: string;
  count: number;
}

/** Connect many who do nothing, or subscribe to what never comes. */
export interface CrowdCommand {
  do: "crowd";
  handles: number;
  /** Subscriptions of each. */
  filters: number;
}

/** The limits of the machine, and of our store without anything around it. */
export interface LimitCommand {
  do: "kv-commits" | "kv-bulk" | "echo" | "round-trips" | "store";
  folder?: string;
  port?: number;
  seconds: number;
}

/** All commands. */
export type AppCommand =
  | FloodCommand
  | ReadCommand
  | AwaitCommand
  | LatencyCommand
  | StepCommand
  | LagCommand
  | CrowdCommand
  | LimitCommand
  | { do: "close" };

/** A line of the app. */
export type AppAnswer = { ok: unknown } | { error: string };
