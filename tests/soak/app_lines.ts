/**
 * What an app of the soak is told, lines of JSON on stdin, and what it tells,
 * lines of JSON on stdout. A line is written with one system call before what
 * it announces can leave the process, so what is told outlives a SIGKILL.
 *
 * @module
 */

/** Settings of one life of an app, its argument. */
export interface SoakAppSettings {
  /** Name and number: `ana.3`; names the writer in its messages. */
  life: string;
  /** Its user's name. */
  name: string;
  /** Where its daemon is; `broker` instead for a direct handle. */
  daemon?: string;
  /** Where the broker is, for a direct handle. */
  broker?: string;
  /** What it reads; `null`: it only writes. */
  filter: string | null;
  /** Whether to subscribe; later lives find the subscription as it was. */
  isFirst: boolean;
  /** Whether it acknowledges by hand. */
  isManual: boolean;
  /** What it writes to. */
  topics: readonly string[];
}

/** A line on stdin. */
export type SoakCommand =
  /** Write so many messages a second from now on; `null`: as fast as it goes. */
  | { do: "write"; rate: number | null }
  /** Write nothing new, and tell when everything has its outcome. */
  | { do: "rest" }
  | { do: "end" };

/**
 * Messages of one writer and topic that came one after the other: counters from
 * `from` up to but without `to`.
 */
export interface Run {
  writer: string;
  topic: string;
  from: number;
  to: number;
  redelivered: boolean;
}

/** A line on stdout. */
export type SoakLine =
  | { told: "ready" | "rested" | "ended" }
  /** Counters below `to` may be published from now on. */
  | { told: "tries"; topic: string; to: number }
  /** Receipts, as ranges `[from, to, from, to…]`. */
  | { told: "receipts"; topic: string; ranges: number[] }
  | { told: "failure"; topic: string; counter: number; code: string }
  | { told: "takes"; runs: Run[] }
  /** Acknowledgements that were confirmed. */
  | { told: "settled"; runs: Run[] }
  /** Something that must not be. */
  | { told: "broken"; text: string };

/** What a message of the soak carries. */
export interface SoakValue {
  /** The writer. */
  w: string;
  /** Counts the writer's messages of the topic, from 0. */
  c: number;
  /** Padding, see {@linkcode paddingOf}. */
  p: string;
}

const SMALL = "abcdefgh".split("").map((letter) => letter.repeat(70));
const MIDDLE = "m".repeat(2_000);
const LARGE = "l".repeat(100_000);

/** Mostly small, one in a hundred 2 kB, one in 20,000 larger than an item. */
export function paddingOf(counter: number): string {
  if (counter % 20_000 === 19_999) return LARGE;
  if (counter % 100 === 99) return MIDDLE;
  return SMALL[counter % SMALL.length];
}
