/**
 * What an owner makes of its entries, when they may be anything.
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";

/**
 * Reads entries of a store.
 *
 * @throws {MomError} `data_damaged` when `read` stumbles over what is stored.
 */
export async function readEntries<T>(
  data: string,
  read: () => T | Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof MomError) throw error;
    throw new MomError(
      "data_damaged",
      `Cannot read the store in "${data}": its entries make no sense`,
      { cause: error },
    );
  }
}
