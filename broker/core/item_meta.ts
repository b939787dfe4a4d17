/**
 * What an item of a log has beside its records: who sent them, until when they may
 * be delivered, and the other attributes.
 *
 * @module
 */

import type { Attributes } from "../../protocol/attributes.ts";
import { encodeEntry, EntryReader } from "./entries.ts";

/** An item's meta. */
export interface ItemMeta {
  /** Key of the sending user; 0 when the user was gone already. */
  readonly senderKey: number;
  /** The sending user, `name@machine`. */
  readonly sender: string;
  /** Not to be delivered later than this moment of the broker's clock, in ms. */
  readonly expiresAtMs: number | null;
  /** Attributes but for `expires`; `null` for none. */
  readonly attributes: Attributes;
}

/** Meta as bytes. */
export function encodeMeta(meta: ItemMeta): Uint8Array {
  return encodeEntry([
    meta.senderKey,
    meta.sender,
    meta.expiresAtMs,
    meta.attributes,
  ]);
}

/** Meta from its bytes. */
export function decodeMeta(bytes: Uint8Array): ItemMeta {
  const entry = new EntryReader("an item", bytes);
  return {
    senderKey: entry.number(),
    sender: entry.text(),
    expiresAtMs: entry.numberOrNull(),
    attributes: entry.attributes(),
  };
}
