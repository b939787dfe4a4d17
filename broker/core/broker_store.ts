/**
 * What the broker's core asks of its store: the part of `storage/store.ts` that it
 * uses, so that tests can put another one in its place.
 *
 * @module
 */

import type {
  Item,
  ReadResult,
  StagedBlob,
  Store,
  TrimTargetOptions,
} from "../../storage/store.ts";

export type { Item, ReadResult, StagedBlob, TrimTargetOptions };

/** The store as the core sees it. */
export type BrokerStore = Pick<
  Store,
  | "id"
  | "epoch"
  | "position"
  | "openPosition"
  | "openTime"
  | "timeline"
  | "isMemory"
  | "liveBytes"
  | "readCached"
  | "takeEntries"
  | "put"
  | "delete"
  | "createLog"
  | "dropLog"
  | "hasLog"
  | "begin"
  | "end"
  | "committedEnd"
  | "bytes"
  | "makeRoom"
  | "append"
  | "stage"
  | "appendStaged"
  | "discardStaged"
  | "trim"
  | "trimTarget"
  | "offsetAtTime"
  | "dirtyBytes"
  | "commit"
  | "commitSoon"
  | "committed"
  | "readInOrder"
  | "clock"
  | "readBlob"
  | "canAppend"
  | "bytesOnDisk"
>;
