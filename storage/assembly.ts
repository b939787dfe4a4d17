/**
 * Puts a store together from what its opening found: the state in memory, and
 * what writes it, reads it and watches over the disk.
 *
 * @module
 */

import { Committer } from "./committer.ts";
import { filesMeterOf } from "./disk_meter.ts";
import type { StorePlace } from "./folder.ts";
import { Fold } from "./fold.ts";
import { toStoreError } from "./kv_errors.ts";
import { KvReader } from "./kv_reader.ts";
import { LargeBodies } from "./large_bodies.ts";
import { Ledger } from "./ledger.ts";
import { LogReader } from "./log_reader.ts";
import { type Opened, takeTable } from "./opening.ts";
import { OwnerTables } from "./owner_tables.ts";
import { Space } from "./space.ts";
import type { StoreOptions } from "./store_options.ts";
import { ValueCache } from "./value_cache.ts";

const MIB = 1024 * 1024;
const CACHE_BYTES = 32 * MIB;

/** What a store is put together from. */
export interface Parts {
  /** The state in memory. */
  readonly ledger: Ledger;
  /** The one that writes. */
  readonly committer: Committer;
  /** The owner's tables. */
  readonly tables: OwnerTables;
  /** All that reads after the opening does so by this. */
  readonly reader: KvReader;
  /** Reads items. */
  readonly logReader: LogReader;
  /** Writes and reads what is too large for an item. */
  readonly bodies: LargeBodies;
  /** The disk's free space; `null` where there is no folder. */
  readonly space: Space | null;
  /** Size of the files, or of what is in them where there are none. */
  readonly bytesOnDisk: () => number;
}

/**
 * Makes the parts. Nothing is written before somebody asks for a commit.
 *
 * @param isStarted Whether the owner has: before, it may still be loading.
 */
export function assemble(
  options: StoreOptions,
  place: StorePlace,
  opened: Opened,
  isStarted: () => boolean,
): Parts {
  const { clock, limits } = options;
  const { root, lists, tables, versionstamp } = opened;
  const last = lists.at(-1);
  const cache = new ValueCache(limits?.cacheBytes ?? CACHE_BYTES);
  const ledger: Ledger = new Ledger({
    position: last?.position ?? root.foldedPosition,
    counters: last?.counters ?? root.counters,
    take: (table) => takeTable(tables, table),
  }, {
    clock,
    cache,
    // Closed before it was used: the owner may never have come to be.
    onSeal: () => !isStarted() && ledger.isOpenEmpty ? null : options.onSeal(),
    onGroup: (group) => committer.push(group),
  });
  const reader = new KvReader(place.reader);
  const fold = new Fold(
    reader,
    root,
    () => committer.wake(),
    (error) => committer.fail(toStoreError(error, "fold")),
  );
  const committer: Committer = new Committer(
    place.writer,
    clock,
    versionstamp,
    fold,
    {
      seal: () => ledger.seal(),
      hasUpkeep: () => isStarted() && ledger.hasDead,
      onFull: () => space?.makeRoom() ?? Promise.resolve(false),
      onFailed: (error) => options.onFailed(error),
    },
  );
  const logReader = new LogReader({
    directory: ledger.directory,
    journal: ledger.journal,
    cache,
    reader,
    position: () => ledger.position,
  });
  const bodies = new LargeBodies({ ledger, committer, cache, reader });
  const { folder } = place;
  const space: Space | null = folder === null ? null : new Space({
    folder,
    clock,
    reserveBytes: limits?.reserveBytes,
    freeBytesMin: limits?.freeBytesMin,
    liveBytes: () => ledger.liveBytes,
    dirtyBytes: () => ledger.dirtyBytes + bodies.stagingBytes,
  }, place.unusedBytes);
  for (const list of lists) fold.add(list);
  return {
    ledger,
    committer,
    tables: new OwnerTables(tables, ledger),
    reader,
    logReader,
    bodies,
    space,
    bytesOnDisk: folder === null
      ? () => ledger.liveBytes
      : filesMeterOf(folder, clock),
  };
}
