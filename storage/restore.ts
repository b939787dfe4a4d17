/**
 * Puts a backup in a store's place, as an epoch of its own. Whatever happens
 * meanwhile, the folder holds the previous store or the restored one, whole.
 *
 * @module
 */

import { resolve } from "node:path";
import type { Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { isThere } from "./backup.ts";
import {
  copyDatabase,
  removeIfThere,
  removeSideFiles,
  renameForGood,
  settleDatabase,
  SIDE_FILES,
} from "./database_file.ts";
import { laterEpoch } from "./epochs.ts";
import { makeFolder, takeLock } from "./folder.ts";
import {
  inspectDatabase,
  type StoreContents,
  verifyDatabase,
  withKv,
} from "./inspect.ts";
import { toStoreError } from "./kv_errors.ts";
import { OWNER_KEY, type Root, ROOT_KEY } from "./layout.ts";
import { sealRoot } from "./root.ts";

/** What to put where. */
export interface RestoreOptions {
  /** The backup. */
  readonly file: string;
  /** The store's folder; made if missing. Nobody may have it open. */
  readonly data: string;
  /** Which program's it is. */
  readonly role: "broker" | "daemon";
  /** Chance. */
  readonly entropy: Entropy;
  /** Wall time, ms since 1970; names the folder of the previous data. */
  readonly wallMs: number;
  /** Does not keep the previous data. @default {false} */
  readonly discardPrevious?: boolean;
}

/** What was done. */
export interface RestoreReport {
  /** The store's id, in hex. */
  readonly storeId: string;
  /** The new epoch. */
  readonly epoch: number;
  /** The last commit that is there. */
  readonly position: number;
  /** How many messages are there. */
  readonly messages: number;
  /** Where the previous data is; `null` if there was none or it was not kept. */
  readonly previous: string | null;
  /**
   * Messages of the previous data that the backup does not know; `null` when
   * that can't be told: there was none, it was damaged, or another store's.
   */
  readonly lost: number | null;
}

/**
 * Restores a store.
 *
 * @throws {MomError} `data_in_use`, `data_damaged`, `data_version`,
 *   `option_invalid`, `storage_full`, `store_unavailable`. The previous store is
 *   still in its place then.
 */
export async function restoreStore(
  options: RestoreOptions,
): Promise<RestoreReport> {
  const { data, role } = options;
  const file = resolve(options.file);
  if (!await isThere(file)) {
    throw new MomError(
      "option_invalid",
      `Cannot restore "${file}": there is no such file`,
    );
  }
  await makeFolder(data);
  const lock = await takeLock(data, role);
  const part = `${data}/restoring.kv`;
  try {
    return await replace(file, part, options);
  } catch (error) {
    throw toStoreError(error, `restore "${file}"`);
  } finally {
    await removeIfThere(part);
    await removeSideFiles(part);
    lock.close();
  }
}

async function replace(
  file: string,
  part: string,
  options: RestoreOptions,
): Promise<RestoreReport> {
  const { data, role, entropy } = options;
  const store = `${data}/store.kv`;
  await copyInto(file, part);
  const restored = await verifyDatabase({ path: part, name: file, role });
  const previous = await readPrevious(store, options);
  const known = [restored.root.epoch, previous?.root.epoch ?? 0];
  const epoch = laterEpoch(known, entropy);
  await makeEpoch(part, file, { ...restored.root, epoch, file: undefined }, {
    owner: entropy.bytes(16),
  });
  await settleDatabase(part);
  const kept = await keepPrevious(store, options);
  await renameForGood(part, store);
  const { root, position, messages } = restored;
  return {
    storeId: root.id.toHex(),
    epoch,
    position,
    messages,
    previous: kept,
    lost: previous === null ? null : lostBetween(restored, previous),
  };
}

/** The backup itself stays as it is. */
async function copyInto(file: string, part: string): Promise<void> {
  await removeIfThere(part);
  const made = await Deno.open(part, {
    write: true,
    createNew: true,
    mode: 0o600,
  });
  made.close();
  await copyDatabase(file, part);
}

/** What is in place now; `null` when there is nothing, or nothing that can be read. */
async function readPrevious(
  store: string,
  { data, role }: RestoreOptions,
): Promise<StoreContents | null> {
  if (!await isThere(store)) return null;
  try {
    return await inspectDatabase({ path: store, name: data, role });
  } catch (error) {
    // Another program's folder is not what was meant.
    if ((error as MomError).code === "option_invalid") throw error;
    return null;
  }
}

async function makeEpoch(
  path: string,
  name: string,
  root: Root,
  { owner }: { owner: Uint8Array },
): Promise<void> {
  await withKv({ path, name }, async (kv) => {
    await kv.atomic()
      .set(ROOT_KEY as unknown as Deno.KvKey, sealRoot(root))
      .set(OWNER_KEY as unknown as Deno.KvKey, owner)
      .commit();
  });
}

/** Gives the previous store a second name, so that there is no moment without one. */
async function keepPrevious(
  store: string,
  { data, wallMs, discardPrevious = false }: RestoreOptions,
): Promise<string | null> {
  if (!await isThere(store)) return null;
  await settlePrevious(store);
  const stamp = new Date(wallMs).toISOString().replaceAll(/[:.]/g, "-");
  const folder = `${data}/before-restore-${stamp}`;
  if (!discardPrevious) {
    await Deno.mkdir(folder, { mode: 0o700 });
    await Deno.link(store, `${folder}/store.kv`);
  }
  // A log that is left is of a store that can't be read; the new one must not find it.
  for (const side of SIDE_FILES) {
    if (!await isThere(store + side)) continue;
    if (discardPrevious) await Deno.remove(store + side);
    else await Deno.rename(store + side, `${folder}/store.kv${side}`);
  }
  return discardPrevious ? null : folder;
}

/** Brings its log into its file, if that can be done. */
async function settlePrevious(store: string): Promise<void> {
  try {
    await settleDatabase(store);
  } catch (error) {
    // Damaged: it is kept with its log as it is.
    if (!(error instanceof MomError)) throw error;
  }
}

/** Messages that were there and are not known now; `null` between different stores. */
function lostBetween(
  restored: StoreContents,
  previous: StoreContents,
): number | null {
  if (restored.root.id.toHex() !== previous.root.id.toHex()) return null;
  let lost = 0;
  for (const [log, end] of previous.ends) {
    lost += Math.max(0, end - (restored.ends.get(log) ?? 0));
  }
  return lost;
}
