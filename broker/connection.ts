/**
 * One connection to the broker: who it is, and its messages into the core.
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";
import { FEATURE } from "../protocol/features.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Attach, Hello } from "../protocol/messages.ts";
import { checkName, DIRECT_MACHINE } from "../protocol/names.ts";
import type { Peer, PeerHandlers } from "../protocol/peer.ts";
import type { Core } from "./core/core.ts";
import type { Session } from "./core/session.ts";

/** The connections that are open, by their sessions. */
export type Connections = Map<Session, Peer>;

/**
 * Checks who wants in (PROTOCOL 3.5, 3.6).
 *
 * @returns The machine whose users it may attach.
 * @throws {MomError} `bad_message`, `name_invalid`, `machine_in_use`.
 */
export async function admit(
  hello: Hello,
  core: Core,
  connections: Connections,
): Promise<string> {
  const machine = machineOf(hello);
  const older = hello.role === "daemon" ? core.sessionOf(machine) : null;
  if (older !== null && !await isGone(older, connections)) {
    throw new MomError(
      "machine_in_use",
      `Cannot welcome machine "${machine}": another daemon of that name is connected`,
    );
  }
  return machine;
}

/** The machine that HELLO stands for; an app has none of its own (PROTOCOL 3.5). */
function machineOf({ role, machine, machineKey }: Hello): string {
  if (role === "app") {
    if (machine === null && machineKey === null) return DIRECT_MACHINE;
    throw new MomError(
      "bad_message",
      "Cannot welcome an app: HELLO names a machine or a key",
    );
  }
  if (machine === null || machineKey === null) {
    throw new MomError(
      "bad_message",
      "Cannot welcome a daemon: HELLO names no machine or no key",
    );
  }
  checkName("machine", machine);
  return machine;
}

/** Asks for a sign of life; what keeps silent is ended, and nothing of it is read any more. */
async function isGone(
  session: Session,
  connections: Connections,
): Promise<boolean> {
  const peer = connections.get(session);
  if (peer === undefined || peer.isClosed) return true;
  if (await peer.ping(LIMITS.takeoverPingMs)) return false;
  peer.abort();
  return true;
}

/** A connection that was let in. */
export interface Admitted {
  readonly peer: Peer;
  readonly hello: Hello;
  /** Hears of defects of ours while its messages are taken. */
  onDefect(error: unknown): void;
}

/** Opens a session in the core for a connection that was let in. */
export function openConnection(
  admitted: Admitted,
  core: Core,
  connections: Connections,
): PeerHandlers {
  const { peer, hello } = admitted;
  const { role, credit, machineKey } = hello;
  const machine = machineOf(hello);
  // Of two that were let in at once the later one stays.
  const older = role === "daemon" ? core.sessionOf(machine) : null;
  if (older !== null) connections.get(older)?.abort();
  const session = core.openSession(
    { role, machine, remote: peer.remote, credit },
    role === "daemon" ? machineKey : null,
    {
      send: (message) => peer.send(message),
      abort: () => peer.abort(),
      takesBundles: peer.features.has(FEATURE.bundles),
      get isClogged() {
        return peer.isClogged;
      },
    },
  );
  connections.set(session, peer);
  return {
    onMessage: (message) =>
      message.type === "ATTACH"
        ? attach(session, message, core, connections)
        : core.take(session, message),
    onClose: () => {
      connections.delete(session);
      core.sessionLost(session);
    },
    onDrained: () => core.sessionDrained(session),
    onDefect: (error) => admitted.onDefect(error),
  };
}

/** One handle at a time (PROTOCOL 5.4). */
async function attach(
  session: Session,
  message: Attach,
  core: Core,
  connections: Connections,
): Promise<void> {
  const rival = core.rivalOf(session, message);
  if (rival !== null && !await isGone(rival, connections)) {
    throw new MomError(
      "name_in_use",
      `Cannot attach "${message.name}": another handle uses that name`,
    );
  }
  if (session.isLost) return;
  await core.take(session, message);
}
