/**
 * Time as all processes of a machine share it, and turns of the event loop.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** Milliseconds since 1970, with fractions. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** A turn of the event loop, in which sockets are read and written. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
