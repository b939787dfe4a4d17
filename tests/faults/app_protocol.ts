/**
 * What an app under test is told: its settings as its argument, its work as lines
 * of JSON on stdin; and what it answers, lines of JSON on stdout.
 *
 * @module
 */

/** How an app's reader takes messages. */
export type TakeStyle = "receive" | "receiveMany" | "iterate";

/** Settings of one life of an app. */
export interface AppSettings {
  /** Name and number: `ana.3`. */
  life: string;
  /** Its user's name. */
  name: string;
  /** Where its daemon is; `broker` instead for a direct handle. */
  daemon?: string;
  /** Where the broker is, for a direct handle. */
  broker?: string;
  /** The address whose token lets in, where that is another: a proxy is between. */
  tokenOf?: string;
  /** Its heartbeat, if not that of every day. */
  heartbeatMs?: number;
  /** Path of its notes. */
  notes: string;
  /** What it reads; empty: it only writes. */
  filters: string[];
  /** Whether to subscribe; later lives find their subscriptions as they were. */
  isFirst: boolean;
  /** How it reads. */
  style: TakeStyle;
  /** Acknowledge by hand, after so many takes; 0: automatically. */
  ackEvery: number;
  /** Read nothing for a while after so many takes; 0: never. */
  pauseEvery: number;
}

/** A writing job. */
export interface WriteJob {
  do: "write";
  /** The writer's id in the notes; used once. */
  writer: string;
  topics: string[];
  count: number;
  /** Over which time to spread the publishes, roughly. */
  durationMs: number;
  /** How many publishes may wait for their receipt. */
  window: number;
  /** Share of publishes that ask for level `broker`. */
  brokerLevelShare: number;
  seed: number;
}

/** A line on stdin. */
export type AppCommand = WriteJob | { do: "end" };

/** A line on stdout. */
export type AppEvent =
  | { event: "ready"; user: string }
  | { event: "written"; writer: string }
  | { event: "ended" };

/** What a message of a fault run carries. */
export interface Payload {
  /** The writer. */
  w: string;
  /** The counter. */
  c: number;
  /** Padding, all bytes equal to the counter's last eight bits. */
  p: Uint8Array;
}
