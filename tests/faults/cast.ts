/**
 * Who takes part in a fault run: two machines and five users, with every way of
 * reading, exact and wildcard filters, and topics that several of them write.
 *
 * @module
 */

import type { AppSettings } from "./app_protocol.ts";

/** The machines, a daemon each. */
export const MACHINES = ["north", "south"] as const;

/** All topics. */
export const TOPICS: readonly string[] = ["run/1", "run/2", "run/3", "run/4"];

/** What stays the same over all lives of an app. */
export interface Role extends
  Pick<
    AppSettings,
    "name" | "filters" | "style" | "ackEvery" | "pauseEvery"
  > {
  /** Its machine; `null`: it talks to the broker itself. */
  machine: (typeof MACHINES)[number] | null;
  /** Share of its publishes that ask for level `broker`. */
  brokerLevelShare: number;
}

/** All apps. */
export const CAST: readonly Role[] = [
  {
    name: "ana",
    machine: "north",
    filters: ["run/1", "run/2"],
    style: "receive",
    ackEvery: 0,
    pauseEvery: 0,
    brokerLevelShare: 0,
  },
  {
    name: "ben",
    machine: "north",
    filters: ["run/+"],
    style: "receiveMany",
    ackEvery: 5,
    pauseEvery: 150,
    brokerLevelShare: 0.3,
  },
  {
    name: "cat",
    machine: "south",
    filters: ["run/#"],
    style: "receiveMany",
    ackEvery: 0,
    pauseEvery: 0,
    brokerLevelShare: 0.05,
  },
  {
    name: "dan",
    machine: "south",
    filters: ["run/3", "+/4"],
    style: "iterate",
    ackEvery: 3,
    pauseEvery: 100,
    brokerLevelShare: 1,
  },
  {
    name: "eve",
    machine: null,
    filters: ["run/2", "run/3", "#"],
    style: "receive",
    ackEvery: 0,
    pauseEvery: 200,
    brokerLevelShare: 0,
  },
];
