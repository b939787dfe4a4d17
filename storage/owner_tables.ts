/**
 * The tables of a store that are its owner's: what the opening found in them, and
 * every change.
 *
 * @module
 */

import { OWNER_TABLE_MAX } from "./layout.ts";
import type { Ledger } from "./ledger.ts";
import { type Tables, takeTable } from "./opening.ts";

/** The owner's tables. */
export class OwnerTables {
  readonly #tables: Tables;
  readonly #ledger: Ledger;

  /** @param tables As of opening. */
  constructor(tables: Tables, ledger: Ledger) {
    this.#tables = tables;
    this.#ledger = ledger;
  }

  /** The entries as of opening; gives them away, the second call gives none. */
  take(table: number): Map<number, Uint8Array> {
    checkTable(table);
    return takeTable(this.#tables, table);
  }

  /** Sets an entry, or removes it. */
  set(table: number, key: number, value: Uint8Array | null): void {
    checkTable(table);
    if (!Number.isSafeInteger(key) || key < 0) {
      throw new RangeError(`Cannot use key ${key} of table ${table}`);
    }
    this.#ledger.change(table, key, value);
  }
}

function checkTable(table: number): void {
  if (!Number.isInteger(table) || table < 1 || table > OWNER_TABLE_MAX) {
    throw new RangeError(
      `Cannot use table ${table}: 1 to ${OWNER_TABLE_MAX} are the owner's`,
    );
  }
}
