/**
 * `deno task demo`: a broker, two machines, four users; the broker is killed in
 * the middle, and nothing is lost. Ends with 0 if the books agree, else with 1.
 *
 * @module
 */

import type { Mom } from "../mod.ts";
import { type Numbered, Reader } from "./demo/reader.ts";
import { Story } from "./demo/story.ts";
import { compareSums, settledStatus } from "./demo/sums.ts";
import { World } from "./demo/world.ts";

const PER_PART = 1_000;
const WAIT_MS = 30_000;

/** Plays the demo; gives what went wrong. */
async function play(story: Story): Promise<string[]> {
  await using world = await World.start(story);
  const [ana, dan] = [
    await world.connect("north", "ana"),
    await world.connect("north", "dan"),
  ];
  const [ben, cat] = [
    await world.connect("south", "ben"),
    await world.connect("south", "cat"),
  ];
  await subscribe(ben, "news/#", story);
  await subscribe(dan, "news/sport", story, "manual");
  await subscribe(ana, "chat/+", story);
  const readers = [ben, dan, ana].map((mom) => new Reader(mom));

  await publish(ana, "news/sport", { from: 0, count: PER_PART }, story);
  await publish(cat, "chat/garden", { from: 0, count: PER_PART }, story);
  await publish(ana, "chat/garden", { from: 0, count: 10 }, story);

  await world.killBroker();
  await publish(ana, "news/sport", { from: PER_PART, count: PER_PART }, story);
  await publish(cat, "news/weather", { from: 0, count: PER_PART }, story);
  await world.startBroker();

  const faults: string[] = [];
  const expected = [3 * PER_PART, 2 * PER_PART, PER_PART];
  for (const [index, reader] of readers.entries()) {
    if (await reader.has(expected[index], WAIT_MS)) {
      story.tell(reader.user, `has all ${reader.count}, each once, in order`);
    } else {
      faults.push(`${reader.user} has ${reader.count} of ${expected[index]}`);
    }
  }
  const status = await settledStatus(() => world.status(), WAIT_MS);
  faults.push(...compareSums(status, readers, story));
  for (const reader of readers) {
    await reader.close();
    faults.push(...reader.faults);
  }
  return faults;
}

async function subscribe(
  mom: Mom,
  filter: string,
  story: Story,
  ack?: "manual",
): Promise<void> {
  await mom.subscribe(filter, { ack });
  const how = ack === "manual" ? ", acknowledging by hand" : "";
  story.tell(mom.user, `subscribes to ${filter}${how}`);
}

async function publish(
  mom: Mom,
  topic: string,
  numbers: { from: number; count: number },
  story: Story,
): Promise<void> {
  const values: Numbered[] = [];
  for (let index = 0; index < numbers.count; index++) {
    values.push({ from: mom.user, number: numbers.from + index });
  }
  const receipts = await mom.publishMany(topic, values);
  const kept = receipts.filter((receipt) => receipt.level === "daemon").length;
  const levels = [
    kept < receipts.length &&
    `${receipts.length - kept} are on the broker's disk`,
    kept > 0 && `${kept} on the disk of its own daemon`,
  ].filter((part) => part !== false).join(", ");
  story.tell(mom.user, `publishes ${values.length} to ${topic}: ${levels}`);
}

if (import.meta.main) {
  const story = new Story();
  const faults = await play(story);
  for (const fault of faults) story.complain(fault);
  if (faults.length === 0) story.tell("the end", "nothing lost, nothing twice");
  Deno.exit(faults.length === 0 ? 0 : 1);
}
