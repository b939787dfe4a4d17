/**
 * What all clients of one server together have not read: who leaves a little unread
 * on each of a thousand connections takes as much as who leaves much on one
 * (PROTOCOL 1.3).
 *
 * @module
 */

import { LIMITS } from "./limits.ts";

/** When there is too much, each may leave this unread. */
const SCARCE_BYTES = 64 * 1024;

/** The sum, and what it leaves to each. */
export class Unread {
  /** Of all of them, in bytes. */
  bytes = 0;

  /** What one may leave unread, where that is `most` by itself. */
  allowed(most: number): number {
    return this.bytes > LIMITS.unreadBytesOfAll ? SCARCE_BYTES : most;
  }
}
