/**
 * Bytes over TCP. Nagle's algorithm is off: what is to go out together is
 * written together.
 *
 * @module
 */

import {
  formatAddress,
  isLoopbackHost,
  type TcpAddress,
} from "../protocol/address.ts";
import type { ByteListener, ByteStream } from "../protocol/byte_stream.ts";
import { MomError } from "../protocol/errors.ts";
import { ConnListener } from "./conn_listener.ts";
import { ConnStream, reasonOf } from "./conn_stream.ts";

/**
 * Connects to a TCP address, once.
 *
 * @throws {Error} If nobody answers; `cause` is the operating system's failure.
 *   The signal's reason if it gave up.
 */
export async function dialTcp(
  address: TcpAddress,
  options: { signal?: AbortSignal } = {},
): Promise<ByteStream> {
  const { signal } = options;
  signal?.throwIfAborted();
  const { hostname, port } = address;
  let conn: Deno.TcpConn;
  try {
    conn = await Deno.connect({ hostname, port, signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new Error(
      `Cannot connect to "${formatAddress(address)}": ${reasonOf(cause)}`,
      { cause },
    );
  }
  if (signal?.aborted) {
    conn.close();
    signal.throwIfAborted();
  }
  return toStream(conn);
}

/**
 * Listens on a TCP address; port 0 takes a free one.
 *
 * @returns The listener; its `address` has the port that was taken.
 * @throws {MomError} `option_invalid` if the address cannot be had.
 */
export function listenTcp(address: TcpAddress): ByteListener {
  const { hostname, port } = address;
  let listener: Deno.TcpListener;
  try {
    listener = Deno.listen({ hostname, port });
  } catch (cause) {
    throw new MomError(
      "option_invalid",
      `Cannot listen on "${formatAddress(address)}": ${reasonOf(cause)}`,
      { cause },
    );
  }
  // The host as it was given, so that what is printed is what was asked for.
  const shown = formatAddress({ hostname, port: listener.addr.port });
  return new ConnListener(listener, { address: shown, wrap: toStream });
}

function toStream(conn: Deno.TcpConn): ByteStream {
  conn.setNoDelay(true);
  return new ConnStream(conn, {
    remote: formatAddress(conn.remoteAddr),
    isLocal: isLoopbackHost(conn.remoteAddr.hostname),
  });
}
