import assert from "node:assert/strict";
import { systemEntropy } from "../../protocol/clock.ts";
import { firstEpoch, laterEpoch } from "../../storage/epochs.ts";
import { openStore, tempFolder } from "./_support.ts";

Deno.test("firstEpoch() is a positive number that leaves room for later ones", () => {
  for (let n = 0; n < 1_000; n++) {
    const epoch = firstEpoch(systemEntropy);
    assert.ok(epoch >= 1 && epoch < 2 ** 31);
  }
});

Deno.test("laterEpoch() is larger than all that are known, and not the same twice", () => {
  const later = new Set<number>();
  for (let n = 0; n < 200; n++) {
    const epoch = laterEpoch([17, 2 ** 31], systemEntropy);
    assert.ok(epoch > 2 ** 31 && epoch < 2 ** 32);
    later.add(epoch);
  }
  assert.ok(later.size > 190, `only ${later.size} of 200 differ`);
});

Deno.test("laterEpoch() finds one when there is no room above", () => {
  const known = [2 ** 32 - 1, 2 ** 32 - 2];
  for (let n = 0; n < 100; n++) {
    const epoch = laterEpoch(known, systemEntropy);
    assert.ok(epoch >= 1 && epoch < 2 ** 32 && !known.includes(epoch));
  }
});

Deno.test("a copy of a store's file is another epoch, the file itself stays the same", async () => {
  await using folder = await tempFolder();
  const data = `${folder.path}/data`;
  const store = await openStore(data);
  await store.close();
  await Deno.mkdir(`${folder.path}/copy`);
  await Deno.copyFile(`${data}/store.kv`, `${folder.path}/copy/store.kv`);
  const copy = await openStore(`${folder.path}/copy`);
  await copy.close();
  assert.deepEqual(copy.id, store.id);
  assert.ok(copy.epoch > store.epoch);
  const again = await openStore(`${folder.path}/copy`);
  await again.close();
  assert.equal(again.epoch, copy.epoch);
  const original = await openStore(data);
  await original.close();
  assert.equal(original.epoch, store.epoch);
});
