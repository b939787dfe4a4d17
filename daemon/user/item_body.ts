/**
 * The records of a stored item, wherever they lie.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import type { Item, Store } from "../../storage/store.ts";

/** An item's records; `null` when they are damaged, or were trimmed while they were read. */
export async function bodyOf(
  store: Store,
  item: Item,
): Promise<Uint8Array | null> {
  if (item.blob === null) return item.body;
  try {
    return await store.readBlob(item.blob);
  } catch (error) {
    if (!(error instanceof MomError) || error.code !== "data_damaged") {
      throw error;
    }
    return null;
  }
}
