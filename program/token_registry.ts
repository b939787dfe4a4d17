/**
 * Tokens handed on inside one process: what keeps its data in memory writes no
 * token file, and apps of the same process shall find its token all the same.
 *
 * @module
 */

import {
  type AddressLike,
  formatAddress,
  parseAddress,
} from "../protocol/address.ts";

const tokens = new Map<string, string>();

/**
 * Lets {@linkcode handedToken} find `token` for who connects to `address`.
 *
 * @returns Ends it; may be called twice.
 */
export function handToken(address: AddressLike, token: string): () => void {
  const key = toKey(address);
  tokens.set(key, token);
  return () => {
    // A later one at the same address may have taken its place.
    if (tokens.get(key) === token) tokens.delete(key);
  };
}

/** The token handed on in this process for `address`, or `null`. */
export function handedToken(address: AddressLike): string | null {
  return tokens.get(toKey(address)) ?? null;
}

function toKey(address: AddressLike): string {
  return formatAddress(parseAddress(address));
}
