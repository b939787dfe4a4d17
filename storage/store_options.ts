/**
 * What a store is opened with.
 *
 * @module
 */

import type { Clock, Entropy } from "../protocol/clock.ts";
import type { MomError } from "../protocol/errors.ts";
import type { KvOpener } from "./folder.ts";

/** Limits of a store. */
export interface StoreLimits {
  /**
   * Size of the file that is given up when the disk is full; 0 for none.
   *
   * @default {a sixteenth of the disk, at most 33554432}
   */
  readonly reserveBytes?: number;
  /**
   * Appending needs more free bytes on the disk than this.
   *
   * @default {a sixteenth of the disk, at most 67108864}
   */
  readonly freeBytesMin?: number;
  /**
   * Memory for journal values that were lately written or read.
   *
   * @default {33554432}
   */
  readonly cacheBytes?: number;
}

/** What {@link Store.open} needs. */
export interface StoreOptions {
  /**
   * A folder (made if missing), `:memory:`, or the URL of a KV Connect service
   * (experimental: no lock, no watch over free space).
   */
  readonly data: string;
  /** Which program it is for; another one's data is refused. */
  readonly role: "broker" | "daemon";
  /** Time. */
  readonly clock: Clock;
  /** Chance. */
  readonly entropy: Entropy;
  /**
   * Called once when the store can't go on. Every method that writes throws
   * `error` from then on; close the store and open it again.
   */
  onFailed(error: MomError): void;
  /**
   * Called when the open group is closed, in the same turn: put what changed
   * since the last time. Must not append. Not called before the first
   * `commit()` or `committed()`, unless more was appended than a group takes.
   *
   * @returns What to do once the group is on disk, or `null`. Called in the
   *   order of the groups; never, if a commit failed.
   */
  onSeal(): (() => void) | null;
  /** Limits. */
  readonly limits?: StoreLimits;
  /**
   * Opens the database: a seam for tests.
   *
   * @default {Deno.openKv}
   */
  readonly openKv?: KvOpener;
}

/** What may be trimmed. */
export interface TrimTargetOptions {
  /**
   * Bytes to keep at least.
   *
   * @default {Infinity}
   */
  readonly keepBytes?: number;
  /**
   * What is older may go, ms.
   *
   * @default {Infinity}
   */
  readonly olderThanMs?: number;
}
