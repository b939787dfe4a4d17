/**
 * The peers: which server, with which settings, and what its acknowledgement of a
 * publish means. Settings keep a slow subscriber from being cut off or robbed;
 * else they are the defaults.
 *
 * @module
 */

import type { DriverName } from "../connection.ts";
import type { Contestant } from "../contestant.ts";
import { findProgram } from "../find_program.ts";
import type { PeerName } from "../options.ts";
import type { Acknowledgement } from "../row.ts";
import { type ServerSpec, ServerStage } from "./server_stage.ts";

interface PeerSpec extends ServerSpec {
  peer: string;
  acknowledged: Acknowledgement;
  isDurable: boolean;
}

function nats(
  driver: DriverName,
  isDurable: boolean,
  settings: string,
): PeerSpec {
  return {
    peer: driver,
    driver,
    program: "nats-server",
    acknowledged: isDurable ? "page cache" : "none",
    isDurable,
    prepare: async (folder, port) => {
      const path = `${folder}/nats.conf`;
      await Deno.writeTextFile(
        path,
        `listen: "127.0.0.1:${port}"\nmax_pending: 1GB\n` +
          settings.replace("FOLDER", folder),
      );
      return ["-c", path];
    },
  };
}

const STREAMS = 'jetstream { store_dir: "FOLDER" }\n';

function redis(sync: "always" | "everysec"): PeerSpec {
  return {
    peer: `redis-${sync}`,
    driver: "redis",
    program: "redis-server",
    acknowledged: sync === "always" ? "disk" : "page cache",
    isDurable: true,
    prepare: (folder, port) => [
      ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder],
      ...["--appendonly", "yes", "--appendfsync", sync, "--save", ""],
    ],
  };
}

function mosquitto(quality: 0 | 1): PeerSpec {
  return {
    peer: `mosquitto-qos${quality}`,
    driver: `mosquitto-qos${quality}`,
    program: "mosquitto",
    acknowledged: quality === 0 ? "none" : "memory",
    isDurable: quality === 1,
    prepare: async (folder, port) => {
      const path = `${folder}/mosquitto.conf`;
      const lines = [
        `listener ${port} 127.0.0.1`,
        "allow_anonymous true",
        "persistence true",
        `persistence_location ${folder}/`,
        "max_queued_messages 0",
        "max_inflight_messages 1000",
        // As root it would become another user, who cannot write here.
        "user root",
      ];
      await Deno.writeTextFile(path, `${lines.join("\n")}\n`);
      return ["-c", path];
    },
  };
}

const SPECS: Record<PeerName, readonly PeerSpec[]> = {
  nats: [nats("nats-core", false, "")],
  jetstream: [
    nats("jetstream", true, STREAMS),
    nats("jetstream-raw", true, STREAMS),
  ],
  redis: [redis("everysec"), redis("always")],
  mosquitto: [mosquitto(0), mosquitto(1)],
};

/** The contestants of a peer; none and a reason if its server is missing. */
export function peerContestants(
  name: PeerName,
): { contestants: Contestant[]; missing: string | null } {
  const { program } = SPECS[name][0]!;
  const path = findProgram(program);
  if (path === null) {
    const missing = `${name} is left out: no ${program} on the PATH ` +
      `(Debian: apt-get install ${program})`;
    return { contestants: [], missing };
  }
  const contestants = SPECS[name].map((spec): Contestant => ({
    peer: spec.peer,
    road: "server",
    acknowledged: spec.acknowledged,
    isDurable: spec.isDurable,
    start: (options) => ServerStage.start(spec, path, options),
  }));
  return { contestants, missing: null };
}

/** Programs of the peers. */
export function peerPrograms(names: readonly PeerName[]): string[] {
  return [...new Set(names.map((name) => SPECS[name][0]!.program))];
}
