/**
 * Time as all processes of a machine share it.
 *
 * @module
 */

/** Milliseconds since 1970, with fractions. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
