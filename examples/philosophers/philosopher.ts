/**
 * A philosopher: takes two sticks, eats, makes an item or takes one, puts the
 * sticks down and rests, until enough items are counted.
 *
 * @module
 */

import {
  act,
  type Actor,
  holding,
  readValue,
  receive,
  writeValue,
} from "../simulation/actor.ts";
import {
  bufferName,
  COURSE_TOPIC,
  isProducer,
  type PhilosopherEvent,
  producerOf,
  stickName,
  sticksOf,
} from "./event.ts";

async function dine(actor: Actor<PhilosopherEvent>): Promise<void> {
  const { mom, card, pace, random } = actor;
  const { id } = card;
  const { philosophers, items, restSecondsMin, restSecondsMax } = card.settings;
  const [first, second] = sticksOf(id, philosophers!).map(stickName);
  await mom.subscribe(COURSE_TOPIC);
  actor.record({ kind: "ready" });
  await receive(mom);
  const isServed = watchLastCourse(actor);
  for (let count = 0; count < items!;) {
    const mayCount = count < items! - 1 || isServed();
    actor.record({ kind: "hungry", id });
    const isCounted = await holding(
      actor,
      first!,
      () => holding(actor, second!, () => eat(actor, mayCount ? count : null)),
    );
    if (isCounted) count++;
    await pace.pause(random.between(restSecondsMin!, restSecondsMax!));
  }
}

/** Tells whether the last course may be had; it must be waited for at times. */
function watchLastCourse(
  { mom, card: { settings } }: Actor<PhilosopherEvent>,
): () => boolean {
  if (settings.killCoordinator !== 1 || settings.items === 1) return () => true;
  let isServed = false;
  void receive(mom).then(() => isServed = true);
  return () => isServed;
}

/** Eats with both sticks; gives whether that counts. With `null` it does not. */
async function eat(
  actor: Actor<PhilosopherEvent>,
  count: number | null,
): Promise<boolean> {
  const { card, pace, random } = actor;
  const { id } = card;
  const { eatSecondsMin, eatSecondsMax } = card.settings;
  actor.record({ kind: "eats", id });
  await pace.pause(random.between(eatSecondsMin!, eatSecondsMax!));
  const isCounted = count !== null && await useBuffer(actor, count);
  actor.record({ kind: "stops", id });
  return isCounted;
}

/** Makes an item or takes one; gives whether that was possible. */
async function useBuffer(
  actor: Actor<PhilosopherEvent>,
  count: number,
): Promise<boolean> {
  const { id } = actor.card;
  // The stick between the two who share a buffer is its lock too.
  const buffer = bufferName(producerOf(id));
  const filled = await readValue(actor, buffer);
  if (!isProducer(id) && filled === 0) {
    actor.record({ kind: "finds_nothing", id });
    return false;
  }
  await writeValue(actor, buffer, isProducer(id) ? filled + 1 : filled - 1);
  actor.record({ kind: "counted", id, count: count + 1 });
  return true;
}

if (import.meta.main) await act(dine);
