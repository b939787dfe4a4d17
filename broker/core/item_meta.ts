/**
 * What an item of a log has beside its records: who sent them, until when they may
 * be delivered, the other attributes, and its place in a bundle.
 *
 * @module
 */

import type { Attributes } from "../../protocol/attributes.ts";
import { type BundlePlace, splitPlace } from "../../storage/bundle_place.ts";
import type { Timeline } from "../../storage/timeline.ts";
import { encodeEntry, EntryReader } from "./entries.ts";

/** An item's meta. */
export interface ItemMeta {
  /** Key of the sending user; 0 when the user was gone already. */
  readonly senderKey: number;
  /** The sending user, `name@machine`. */
  readonly sender: string;
  /** Not to be delivered later than this moment of the steady time, in ms. */
  readonly expiresAtMs: number | null;
  /** Attributes but for `expires`; `null` for none. */
  readonly attributes: Attributes;
  /** `null` for what belongs to no bundle. */
  readonly place: BundlePlace | null;
}

/** Meta as bytes; `timeline` may be `null` for what does not expire. */
export function encodeMeta(
  meta: Omit<ItemMeta, "place">,
  timeline: Timeline | null,
): Uint8Array {
  return encodeEntry([
    meta.senderKey,
    meta.sender,
    timeline?.toStored(meta.expiresAtMs) ?? null,
    meta.attributes,
  ]);
}

/** Meta from its bytes, which commit `position` holds. */
export function decodeMeta(
  bytes: Uint8Array,
  position: number,
  timeline: Timeline,
): ItemMeta {
  const { place, meta } = splitPlace(bytes);
  const entry = new EntryReader("an item", meta);
  return {
    senderKey: entry.number(),
    sender: entry.text(),
    expiresAtMs: timeline.fromStored(entry.numberOrNull(), position),
    attributes: entry.attributes(),
    place,
  };
}
