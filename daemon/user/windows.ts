/**
 * What may come over the link for all users of this machine together: it stays in
 * memory while their apps do not take it. Each window begins small and grows with
 * what passes, as long as there is room beside the others (PROTOCOL 11.9).
 *
 * @module
 */

import { LIMITS } from "../../protocol/limits.ts";

/** The sum of all windows. */
export class Windows {
  #bytes = 0;

  /** A window for a flow that begins; it never falls below that. */
  open(): number {
    this.#bytes += LIMITS.windowBytesFirst;
    return LIMITS.windowBytesFirst;
  }

  /** What a window becomes through which `passed` bytes went by. */
  grown(window: number, passed: number): number {
    const next = Math.min(2 * window, LIMITS.windowBytes);
    const more = next - window;
    if (more <= 0 || passed < window) return window;
    if (this.#bytes + more > LIMITS.windowBytesOfAll) return window;
    this.#bytes += more;
    return next;
  }

  /** A flow ends. */
  close(window: number): void {
    this.#bytes -= window;
  }
}
