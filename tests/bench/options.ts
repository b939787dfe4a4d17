/**
 * The command line of the bench. Pure.
 *
 * @module
 */

import { parseFlags, toNumber, UsageError } from "../helpers/command_line.ts";

/** The workloads, in the order in which they run. */
export const WORKLOADS = [
  "publish",
  "deliver",
  "fanout",
  "latency",
  "backlog",
  "away",
  "idle",
  "scale",
  "laggard",
  "store",
  "durability",
] as const;

/** One of them. */
export type WorkloadName = typeof WORKLOADS[number];

/** What can be compared. */
export const PEERS = ["nats", "jetstream", "redis", "mosquitto"] as const;

/** One of them. */
export type PeerName = typeof PEERS[number];

/** What a run of the bench does. */
export interface BenchOptions {
  workloads: readonly WorkloadName[];
  /** Bytes of a value as encoded. */
  sizes: readonly number[];
  /** Of one measurement; what goes by number takes as many as fit the time. */
  seconds: number;
  repeat: number;
  peers: readonly PeerName[];
  /** Where to write the rows. */
  json: string | null;
  /** The large forms of `scale` too. */
  isFull: boolean;
}

/** What is told about wrong usage. */
export const USAGE = `usage: deno task bench [WORKLOAD…] [--size 100,1024] \
[--seconds 5] [--repeat 3] [--peers ${PEERS.join(",")}] [--json FILE] [--full]
workloads: ${WORKLOADS.join(", ")} (default: all)
or: deno task bench coordinator [--seconds 5] [--repeat 3] [--json FILE]`;

const SIZE_RANGE = [16, 1024 * 1024] as const;

/** @throws {UsageError} */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values, operands } = parseFlags(args, {
    size: { type: "string", default: "100,1024" },
    seconds: { type: "string", default: "5" },
    repeat: { type: "string", default: "3" },
    peers: { type: "string" },
    json: { type: "string" },
    full: { type: "boolean" },
  });
  const names = operands.length > 0 ? operands : WORKLOADS;
  return {
    workloads: names.map((name) => oneOf("workload", name, WORKLOADS)),
    sizes: values.size.split(",").map((text) =>
      Math.floor(toNumber("size", text, ...SIZE_RANGE))
    ),
    seconds: toNumber("seconds", values.seconds, 0.1, 600),
    repeat: Math.floor(toNumber("repeat", values.repeat, 1, 100)),
    peers:
      values.peers?.split(",").map((name) => oneOf("--peers", name, PEERS)) ??
        [],
    json: values.json ?? null,
    isFull: values.full,
  };
}

function oneOf<T extends string>(
  what: string,
  name: string,
  names: readonly T[],
): T {
  const found = names.find((each) => each === name);
  if (found !== undefined) return found;
  throw new UsageError(`${what} ${name}: must be one of ${names.join(", ")}`);
}
