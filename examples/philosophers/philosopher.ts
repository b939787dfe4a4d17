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
  let mustWait = card.settings.killCoordinator === 1 && items! > 1;
  await mom.subscribe(COURSE_TOPIC);
  actor.record({ kind: "ready" });
  await receive(mom);
  const [first, second] = sticksOf(id, philosophers!).map(stickName);
  for (let count = 0; count < items!;) {
    if (count === items! - 1 && mustWait) {
      await receive(mom);
      mustWait = false;
    }
    actor.record({ kind: "hungry", id });
    count = await holding(
      actor,
      first!,
      () => holding(actor, second!, () => eat(actor, count)),
    );
    await pace.pause(random.between(restSecondsMin!, restSecondsMax!));
  }
}

/** Eats with both sticks; gives how many items are counted now. */
async function eat(
  actor: Actor<PhilosopherEvent>,
  count: number,
): Promise<number> {
  const { card, pace, random } = actor;
  const { id } = card;
  const { eatSecondsMin, eatSecondsMax } = card.settings;
  actor.record({ kind: "eats", id });
  await pace.pause(random.between(eatSecondsMin!, eatSecondsMax!));
  // The stick between the two who share a buffer is its lock too.
  const buffer = bufferName(producerOf(id));
  const filled = await readValue(actor, buffer);
  const isDone = isProducer(id) || filled > 0;
  if (isDone) {
    await writeValue(actor, buffer, isProducer(id) ? filled + 1 : filled - 1);
    actor.record({ kind: "counted", id, count: count + 1 });
  } else {
    actor.record({ kind: "finds_nothing", id });
  }
  actor.record({ kind: "stops", id });
  return isDone ? count + 1 : count;
}

if (import.meta.main) await act(dine);
