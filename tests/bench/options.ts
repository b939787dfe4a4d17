/**
 * The command line of the bench. Pure.
 *
 * @module
 */

import { parseArgs } from "node:util";

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

/** Wrong usage; its message names the flag, the value and the rule. */
export class UsageError extends Error {}

const SIZE_RANGE = [16, 1024 * 1024] as const;

/** @throws {UsageError} */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args);
  const number = (flag: string, text: string, min: number, max: number) => {
    const value = Number(text);
    if (text !== "" && value >= min && value <= max) return value;
    throw new UsageError(`--${flag} ${text}: must be from ${min} to ${max}`);
  };
  const names = positionals.length > 0 ? positionals : WORKLOADS;
  return {
    workloads: names.map((name) => oneOf("workload", name, WORKLOADS)),
    sizes: values.size.split(",").map((text) =>
      Math.floor(number("size", text, ...SIZE_RANGE))
    ),
    seconds: number("seconds", values.seconds, 0.1, 600),
    repeat: Math.floor(number("repeat", values.repeat, 1, 100)),
    peers: values.peers === ""
      ? []
      : values.peers.split(",").map((name) => oneOf("--peers", name, PEERS)),
    json: values.json ?? null,
    isFull: values.full,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        size: { type: "string", default: "100,1024" },
        seconds: { type: "string", default: "5" },
        repeat: { type: "string", default: "3" },
        peers: { type: "string", default: "" },
        json: { type: "string" },
        full: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : `${error}`);
  }
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
