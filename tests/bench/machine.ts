/**
 * On what, and with which versions, was measured.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { JETSTREAM_PACKAGE, NATS_PACKAGE } from "../../deps/bench/nats.ts";
import { MQTT_PACKAGE } from "../../deps/bench/mqtt.ts";
import { REDIS_PACKAGE } from "../../deps/bench/redis.ts";
import { findProgram } from "./find_program.ts";
import type { PeerName } from "./options.ts";
import { peerPrograms } from "./peers/contestants.ts";

/** The machine. */
export interface Machine {
  os: string;
  kernel: string;
  processor: string;
  cores: number;
  memoryMiB: number;
  /** Of one minute, when the run began: others may be at work. */
  loadBefore: number;
}

/** Reads it. */
export function readMachine(): Machine {
  return {
    os: `${Deno.build.os} ${Deno.build.arch}`,
    kernel: Deno.osRelease(),
    processor: processorName(),
    cores: navigator.hardwareConcurrency,
    memoryMiB: Math.round(Deno.systemMemoryInfo().total / 1024 / 1024),
    loadBefore: Deno.loadavg()[0]!,
  };
}

function processorName(): string {
  if (Deno.build.os !== "linux") return "?";
  const text = Deno.readTextFileSync("/proc/cpuinfo");
  return /^model name\s*: (.+)$/m.exec(text)?.[1] ?? "?";
}

/** Of ourselves, of Deno, and of the peers and their clients. */
export async function readVersions(
  peers: readonly PeerName[],
): Promise<Record<string, string>> {
  const { deno, v8 } = Deno.version;
  const versions: Record<string, string> = { mom: config.version, deno, v8 };
  for (const name of peerPrograms(peers)) {
    const path = findProgram(name);
    if (path !== null) versions[name] = await versionOf(path);
  }
  return { ...versions, ...packagesOf(peers) };
}

function packagesOf(peers: readonly PeerName[]): Record<string, string> {
  const packages: Record<PeerName, readonly string[]> = {
    nats: [NATS_PACKAGE],
    jetstream: [NATS_PACKAGE, JETSTREAM_PACKAGE],
    redis: [REDIS_PACKAGE],
    mosquitto: [MQTT_PACKAGE],
  };
  return Object.fromEntries(
    peers.flatMap((peer) => packages[peer]).map((specifier) => {
      const at = specifier.lastIndexOf("@");
      return [specifier.slice(0, at), specifier.slice(at + 1)];
    }),
  );
}

/** The first number that its help or version tells. */
async function versionOf(path: string): Promise<string> {
  const args = path.endsWith("/mosquitto") ? ["-h"] : ["--version"];
  const { stdout, stderr } = await new Deno.Command(path, { args }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout) + decoder.decode(stderr);
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? "?";
}
