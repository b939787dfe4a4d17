/**
 * Who takes part in the soak: two machines, three readers, two writers.
 *
 * @module
 */

/** The machines, a daemon each. */
export const MACHINES = ["north", "south"] as const;

/** All topics. */
export const TOPICS: readonly string[] = ["soak/1", "soak/2", "soak/3"];

/** What stays the same over all lives of an app. */
export interface SoakRole {
  /** Its user's name, without the machine. */
  name: string;
  /** Its machine; `null`: it talks to the broker itself. */
  machine: (typeof MACHINES)[number] | null;
  /** What it reads; `null`: it only writes. */
  filter: string | null;
  /** Whether it acknowledges by hand. */
  isManual: boolean;
  /** Whether it writes. */
  isWriter: boolean;
}

/** All apps. */
export const CAST: readonly SoakRole[] = [
  {
    name: "ana",
    machine: "north",
    filter: "soak/1",
    isManual: false,
    isWriter: true,
  },
  {
    name: "ben",
    machine: "south",
    filter: null,
    isManual: false,
    isWriter: true,
  },
  {
    name: "cat",
    machine: "south",
    filter: "soak/#",
    isManual: false,
    isWriter: false,
  },
  {
    name: "dan",
    machine: "north",
    filter: "soak/2",
    isManual: true,
    isWriter: false,
  },
  {
    name: "eve",
    machine: null,
    filter: "soak/3",
    isManual: false,
    isWriter: false,
  },
];

/**
 * Who is killed, one after the other. Not `ana`, `cat` and `eve`: a handle that
 * lives through it all gets nothing twice, and its memory is seen to stay flat.
 */
export const VICTIMS: readonly string[] = [
  "broker",
  "daemon north",
  "daemon south",
  "dan",
  "ben",
];
