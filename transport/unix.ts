/**
 * Bytes over a unix socket that only its owner can open.
 *
 * @module
 */

import { formatAddress, type UnixAddress } from "../protocol/address.ts";
import type { ByteListener, ByteStream } from "../protocol/byte_stream.ts";
import { MomError } from "../protocol/errors.ts";
import { ConnListener } from "./conn_listener.ts";
import { ConnStream, reasonOf } from "./conn_stream.ts";

/** Leaves a socket file to its owner alone: 0600. */
const SOCKET_UMASK = 0o177;

/** Options of {@linkcode listenUnix}. */
export interface ListenUnixOptions {
  /**
   * Removes a socket file that an ended process left behind. Only for who holds
   * the lock that makes it the one owner of this path.
   *
   * @default {false}
   */
  removeStale?: boolean;
}

/** How long the path of a socket can be here, in bytes. */
export function socketPathBytesMax(): number {
  return Deno.build.os === "linux" ? 107 : 103;
}

/**
 * Connects to a unix socket, once.
 *
 * @throws {Error} If nobody answers; `cause` is the operating system's failure.
 *   The signal's reason if it gave up.
 */
export async function dialUnix(
  address: UnixAddress,
  options: { signal?: AbortSignal } = {},
): Promise<ByteStream> {
  const { signal } = options;
  signal?.throwIfAborted();
  checkPathLength(address);
  let conn: Deno.UnixConn;
  try {
    // Nothing to wait for: a unix socket answers or refuses at once.
    conn = await Deno.connect({ transport: "unix", path: address.path });
  } catch (cause) {
    throw new Error(
      `Cannot connect to "${formatAddress(address)}": ${reasonOf(cause)}`,
      { cause },
    );
  }
  if (signal?.aborted) {
    conn.close();
    signal.throwIfAborted();
  }
  return toStream(conn, formatAddress(address));
}

/**
 * Listens on a unix socket, mode 0600. Closing removes what is at its path then:
 * close before giving up the lock that makes the path yours.
 *
 * @throws {MomError} `option_invalid` if the address cannot be had.
 */
export function listenUnix(
  address: UnixAddress,
  options: ListenUnixOptions = {},
): ByteListener {
  checkPathLength(address);
  const shown = formatAddress(address);
  const listener = bind(address.path, shown, options.removeStale ?? false);
  return new ConnListener(listener, {
    address: shown,
    wrap: (conn: Deno.UnixConn) => toStream(conn, shown),
  });
}

function bind(
  path: string,
  shown: string,
  removeStale: boolean,
): Deno.UnixListener {
  try {
    return listenOwnerOnly(path);
  } catch (cause) {
    if (removeStale && cause instanceof Deno.errors.AddrInUse) {
      try {
        removeSocket(path);
        return listenOwnerOnly(path);
      } catch (second) {
        throw cannotListen(shown, second);
      }
    }
    throw cannotListen(shown, cause);
  }
}

/**
 * Binding is synchronous, so nothing else is made under this umask. Where it may
 * not be set, the mode follows at once; until then the socket has what the
 * process's own umask leaves, usually 0755, with which others cannot connect.
 */
function listenOwnerOnly(path: string): Deno.UnixListener {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "umask" });
  if (state !== "granted") {
    const listener = Deno.listen({ transport: "unix", path });
    Deno.chmodSync(path, 0o600);
    return listener;
  }
  const before = Deno.umask(SOCKET_UMASK);
  try {
    return Deno.listen({ transport: "unix", path });
  } finally {
    Deno.umask(before);
  }
}

/** Removes what a listener left behind, and nothing else. */
function removeSocket(path: string): void {
  if (Deno.lstatSync(path).isSocket) Deno.removeSync(path);
}

function checkPathLength(address: UnixAddress): void {
  const length = new TextEncoder().encode(address.path).length;
  if (length <= socketPathBytesMax()) return;
  throw new MomError(
    "option_invalid",
    `Cannot use "${formatAddress(address)}": the path has ${length} bytes, ` +
      `a socket's at most ${socketPathBytesMax()}`,
  );
}

function cannotListen(shown: string, cause: unknown): MomError {
  return new MomError(
    "option_invalid",
    `Cannot listen on "${shown}": ${reasonOf(cause)}`,
    { cause },
  );
}

function toStream(conn: Deno.UnixConn, shown: string): ByteStream {
  return new ConnStream(conn, { remote: shown, isLocal: true });
}
