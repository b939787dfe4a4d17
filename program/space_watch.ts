/**
 * Tells the log when a store has no room any more, and when it has some again.
 *
 * @module
 */

import type { Logger } from "./log.ts";

/** What is watched. */
export interface Filling {
  /** Whether there is room for messages. */
  canAppend(): boolean;
}

/** Tells of each change once. */
export class SpaceWatch {
  readonly #store: Filling;
  readonly #logger: Logger;
  #isFull = false;

  /** Begins with a store that has room. */
  constructor(store: Filling, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Looks. */
  look(): void {
    const isFull = !this.#store.canAppend();
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    if (isFull) this.#logger.warn("storage_full");
    else this.#logger.info("storage_free");
  }
}
