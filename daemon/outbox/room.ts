/**
 * Which apps may be read on: not those of whom too much is under way without a
 * receipt, and none while too much is on its way to this machine's disk.
 *
 * @module
 */

import type { Commits } from "../commits.ts";
import type { LoosePublishes } from "./loose_publishes.ts";
import type { OutboxLog } from "./outbox_log.ts";
import type { Pace } from "./pace.ts";
import type { Producer } from "./producers.ts";

/** Bytes of fast publishes without receipt, beyond which no app is read that has any. */
const FAST_WINDOW_BYTES = 16 * 1024 * 1024;
/** The same of one app: what others publish stands behind it on the link. */
const FAST_WINDOW_BYTES_OF_ONE = 2 * 1024 * 1024;
/** Bytes on their way to this machine's disk, beyond which apps are read no more. */
const DIRTY_BYTES_MAX = 8 * 1024 * 1024;

/** What room is made of. */
export interface RoomContext {
  readonly commits: Commits;
  readonly log: OutboxLog;
  readonly pace: Pace;
  readonly loose: LoosePublishes;
}

/** The room for what apps publish. */
export class OutboxRoom {
  readonly #context: RoomContext;
  /** Apps that are not read on before there are receipts. */
  #waiting: { producer: Producer; resolve(): void }[] = [];

  constructor(context: RoomContext) {
    this.#context = context;
  }

  /** Resolves when the app of a producer may be read on; `null` when it may at once. */
  of(producer: Producer): Promise<void> | null {
    const { commits, log } = this.#context;
    const { store } = commits;
    if (store.dirtyBytes > DIRTY_BYTES_MAX) return store.committed();
    if (!this.#mayRead(producer)) {
      return new Promise((resolve) =>
        this.#waiting.push({ producer, resolve })
      );
    }
    return log.room(producer);
  }

  #mayRead({ fastBytes }: Producer): boolean {
    const { pace, loose } = this.#context;
    const bytes = pace.fastBytes + loose.bytes;
    return bytes < FAST_WINDOW_BYTES
      ? fastBytes < FAST_WINDOW_BYTES_OF_ONE
      : fastBytes === 0;
  }

  /** There may be more. */
  wake(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) {
      if (this.#mayRead(each.producer)) each.resolve();
      else this.#waiting.push(each);
    }
  }
}
