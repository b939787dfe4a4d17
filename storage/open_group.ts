/**
 * What gathers for the next commit.
 *
 * @module
 */

import { ChangeSet } from "./change_list.ts";
import type { LogIndex } from "./log_index.ts";

/** The group that is open for changes and appends. */
export class OpenGroup {
  /** Grows by one each. */
  readonly serial: number;
  /** Changes of the small state. */
  readonly changes: ChangeSet = new ChangeSet();
  /** Logs that it appends to. */
  readonly logs: LogIndex[] = [];
  /** Time of its commit, 0 while not yet fixed. */
  time = 0;
  /** Bytes of its items, heads included. */
  itemBytes = 0;

  /** An empty group. */
  constructor(serial: number) {
    this.serial = serial;
  }

  /** What it will add to the bytes on disk, about. */
  get bytes(): number {
    return this.itemBytes + this.changes.bytes;
  }

  /** Notes that it appends to `log`. */
  touch(log: LogIndex): void {
    if (log.touchedBy === this.serial) return;
    log.touchedBy = this.serial;
    this.logs.push(log);
  }
}
