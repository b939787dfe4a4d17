/**
 * Redis from JavaScript: what the bench uses of it.
 *
 * @module
 */

import { loadPackage } from "./load_package.ts";

/** What stands in a reply as the type mapping asks for it. */
export type RedisReply = null | number | string | Uint8Array | RedisReply[];

/** A connection. */
export interface RedisClient {
  connect(): Promise<unknown>;
  sendCommand(words: readonly (string | Uint8Array)[]): Promise<RedisReply>;
  withTypeMapping(mapping: Record<number, unknown>): RedisClient;
  destroy(): void;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** `redis`. */
export interface RedisModule {
  createClient(options: { url: string; RESP: 2 }): RedisClient;
  RESP_TYPES: { BLOB_STRING: number };
}

/** The version, told beside the rates. */
export const REDIS_PACKAGE = "npm:redis@6.3.0";

/** Loads the client. */
export const loadRedis = (): Promise<RedisModule> => loadPackage(REDIS_PACKAGE);
