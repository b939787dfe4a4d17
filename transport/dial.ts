/**
 * The face of transport/: connect to and listen on an address of either kind.
 *
 * @module
 */

import {
  type AddressLike,
  isUnixAddress,
  parseAddress,
} from "../protocol/address.ts";
import type {
  ByteListener,
  ByteStream,
  Dialer,
} from "../protocol/byte_stream.ts";
import { dialTcp, listenTcp } from "./tcp.ts";
import { dialUnix, listenUnix, type ListenUnixOptions } from "./unix.ts";

/**
 * Connects once to `HOST:PORT` or `unix:PATH`.
 *
 * @param address Text or object.
 * @param options `signal` gives up early and rejects with its reason.
 * @throws {MomError} `option_invalid` if the address breaks the rules.
 * @throws {Error} If nobody answers there.
 */
export async function dial(
  address: AddressLike,
  options: { signal?: AbortSignal } = {},
): Promise<ByteStream> {
  const where = parseAddress(address);
  return isUnixAddress(where)
    ? await dialUnix(where, options)
    : await dialTcp(where, options);
}

/** The operating system's network as a {@linkcode Dialer}. */
export const networkDialer: Dialer = { dial };

/**
 * Listens on `HOST:PORT` (port 0: a free one) or `unix:PATH`.
 *
 * @param address Text or object.
 * @param options `removeStale` for unix sockets.
 * @throws {MomError} `option_invalid` if the address breaks the rules or cannot
 *   be had.
 */
export function listen(
  address: AddressLike,
  options: ListenUnixOptions = {},
): ByteListener {
  const where = parseAddress(address);
  return isUnixAddress(where) ? listenUnix(where, options) : listenTcp(where);
}
