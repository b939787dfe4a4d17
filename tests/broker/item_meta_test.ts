/** What an item has beside its records, as bytes. */

import assert from "node:assert/strict";
import {
  decodeMeta,
  encodeMeta,
  type ItemMeta,
} from "../../broker/core/item_meta.ts";
import { withPlace } from "../../storage/bundle_place.ts";
import { World } from "./_world.ts";

const PLAIN: ItemMeta = {
  senderKey: 7,
  sender: "ana@direct",
  expiresAtMs: null,
  attributes: null,
  place: null,
};

Deno.test("decodeMeta() reads what was written before there were bundles", async () => {
  await using world = await World.open();
  // An array of key, sender, no deadline, no attributes.
  const bytes = Uint8Array.fromHex("84076a616e6140646972656374f6f6");
  const { timeline } = world.store;
  assert.deepEqual(decodeMeta(bytes, 1, timeline), PLAIN);
  assert.deepEqual(encodeMeta(PLAIN, null), bytes);
});

Deno.test("decodeMeta() is the inverse of encodeMeta(), also behind a place in a bundle", async () => {
  await using world = await World.open();
  const { timeline } = world.store;
  const rests: Partial<ItemMeta>[] = [
    {},
    { expiresAtMs: timeline.nowMs() + 5_000 },
    { attributes: new Map<number, unknown>([[5, "trace"]]) },
    { senderKey: 0, sender: "x".repeat(300) },
  ];
  const ranks = Uint16Array.of(1, 129, 300, 6_000, 57_000);
  for (const place of [null, { bundle: 70_000, left: 63, ranks }]) {
    for (const rest of rests) {
      const meta = { ...PLAIN, ...rest, place };
      const plain = encodeMeta(meta, timeline);
      const bytes = place === null ? plain : withPlace(plain, place);
      const decoded = decodeMeta(bytes, world.store.openPosition, timeline);
      assert.deepEqual(decoded, meta);
    }
  }
});
