/**
 * Row 8 of the original's behaviour: what a message can carry.
 */
import assert from "node:assert/strict";
import { Cluster } from "../process/cluster.ts";
import { range, rejectsWith, take, takeValues } from "../helpers/expect.ts";
import { Random } from "../helpers/random.ts";
import { Guests } from "../process/guests.ts";

const LIMIT = 8_388_608;
const SIZES = [0, 1, 254, 255, 256, 65_535, 65_536, 819_200, LIMIT];

Deno.test("[O-8] bytes and text of every size up to the limit come whole through both daemons", async () => {
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  await using guests = new Guests(cluster);
  const ana = await guests.connect("north", "ana");
  const ben = await guests.connect("south", "ben");
  await ben.subscribe("t");
  const random = new Random(8);
  for (const size of SIZES) {
    const bytes = randomBytes(size, random);
    await ana.publish("t", bytes);
    const [message] = await take(ben, 1, 30_000);
    assert.ok(message.value instanceof Uint8Array);
    assert.ok(areEqual(message.value, bytes), `${size} bytes came damaged`);

    const text = textOf(size);
    await ana.publish("t", text);
    const [told] = await take(ben, 1, 30_000);
    assert.ok(told.value === text, `text of ${size} bytes came damaged`);
  }
  const tooLong = new Uint8Array(LIMIT + 1);
  await rejectsWith("message_too_large", ana.publish("t", tooLong));
  await rejectsWith("message_too_large", ana.publish("t", textOf(LIMIT + 1)));
  await ana.publish("t", "still works");
  assert.equal((await take(ben, 1))[0].value, "still works");
});

/** Small values of one kind each; what they have in common is how they are sent. */
const SMALL: Record<string, (index: number) => unknown> = {
  integer: (index) => index,
  negative: (index) => -index * 1_000_003,
  fraction: (index) => index / 7,
  truth: (index) => index % 3 === 0 ? null : index % 2 === 0,
  text: (index) => "ä".repeat(index % 50),
  bytes: (index) => new Uint8Array(index % 300).fill(index),
  array: (index) => [index],
  object: (index) => ({ index }),
  date: (index) => new Date(index * 1_000),
  mixed: (index) =>
    index % 5 === 0 ? "x".repeat(index) : [{ index }, -0, 2n ** 63n],
};

Deno.test("[O-8] a thousand small values of each kind come whole, each as it was sent", async () => {
  await using cluster = await Cluster.start({ machines: ["north", "south"] });
  await using guests = new Guests(cluster);
  const ben = await guests.connect("south", "ben");
  await ben.subscribe("t/#");
  for (const [kind, valueOf] of Object.entries(SMALL)) {
    // A handle of its own: its buffers begin small and grow.
    const writer = await guests.connect("north");
    const values = range(1_000).map(valueOf);
    await writer.publishMany(`t/${kind}`, values);
    const got = await takeValues(ben, values.length);
    got.forEach((value, index) => assert.deepEqual(value, values[index], kind));
  }
});

function randomBytes(size: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = random.integer(0, 255);
  return bytes;
}

/** Text of `size` UTF-8 bytes with zero characters and several bytes a character. */
function textOf(size: number): string {
  const unit = "ä\0€z🜂\n";
  const bytes = new TextEncoder().encode(unit).length;
  const whole = unit.repeat(Math.floor(size / bytes));
  return whole + "x".repeat(size % bytes);
}

function areEqual(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) {
    if (left[at] !== right[at]) return false;
  }
  return true;
}
