/**
 * A person who visits the museum, with a tour or without.
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
  type Answer,
  doorTopic,
  GUIDE_TOPIC,
  type MuseumEvent,
  type PersonMessage,
  personTopic,
  type Request,
  SEM_TOUR,
  SEM_VACANCY,
  SHM_TOUR,
} from "./event.ts";

type Visitor = Actor<MuseumEvent>;

async function visit(actor: Visitor): Promise<void> {
  const { mom, card, random, pace } = actor;
  const person = card.id;
  await mom.subscribe(personTopic(person));
  if (await ask(actor, "enter") === "accepted") {
    if (random.percent(card.settings.tourPercent!)) {
      await goOnTour(actor);
    } else {
      const { insideSeconds, insideExtraSeconds } = card.settings;
      await pace.pause(insideSeconds! + random.between(0, insideExtraSeconds!));
    }
    await ask(actor, "exit");
  }
  const strays = (await mom.receiveMany({ timeoutMs: 1 })).length;
  actor.record({ kind: "leaves", person, strays });
}

/** Asks at one of the doors, whichever. */
async function ask(actor: Visitor, request: Request): Promise<Answer> {
  const { mom, card, random } = actor;
  const person = card.id;
  const door = random.below(card.settings.doors!);
  actor.record({ kind: "asks", person, door, request });
  await actor.settled();
  await mom.publish(doorTopic(door), { person, request });
  const heard = await receive<PersonMessage>(mom);
  if (heard.from !== "door") throw new Error(`Asked a door, heard a guide`);
  actor.record({ ...heard, kind: "answered", person });
  return heard.answer;
}

async function goOnTour(actor: Visitor): Promise<void> {
  const { mom, card, pace } = actor;
  const person = card.id;
  await holding(actor, SEM_VACANCY, () => sign(actor));
  const heard = await receive<PersonMessage>(mom);
  if (heard.from !== "guide") throw new Error(`Asked a guide, heard a door`);
  actor.record({ kind: "joins", person });
  await pace.pause(card.settings.tourSeconds!);
  actor.record({ kind: "tour_over", person });
}

/** Signs for the next tour; who makes it a whole party calls the guide. */
async function sign(actor: Visitor): Promise<void> {
  const { mom, card, coordinator } = actor;
  const person = card.id;
  const signed = await readValue(actor, SHM_TOUR) + 1;
  await writeValue(actor, SHM_TOUR, signed);
  // On the broker's disk before the next holder can count on it.
  await mom.publish(GUIDE_TOPIC, { person }, { level: "broker" });
  actor.record({ kind: "signs", person, signed });
  if (signed !== card.settings.party) return;
  actor.record({ kind: "calls", why: "party", signed });
  await actor.settled();
  await coordinator.semaphore(SEM_TOUR).signal();
}

if (import.meta.main) await act(visit);
